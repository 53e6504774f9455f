"""Times handler methods when the model asks for a profile (surface spec 4.4)."""

from __future__ import annotations

import functools
import time
from typing import Any, Callable


def timed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Emits `ts_handler_{method}` in ms for each call where the YAML has `handler: {profile: true}`."""

    @functools.wraps(function)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        context = getattr(self, "context", None)
        section = (getattr(context, "model_yaml_config", None) or {}).get("handler")
        if not isinstance(section, dict) or not section.get("profile", False):
            return function(self, *args, **kwargs)
        started = time.perf_counter()
        result = function(self, *args, **kwargs)
        context.metrics.add_time(f"ts_handler_{function.__name__}", (time.perf_counter() - started) * 1000)
        return result

    return wrapper
