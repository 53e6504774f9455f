"""The `pt2` section of model-config.yaml: torch.compile and ahead-of-time packages (surface spec 9.3, 12.5)."""

from __future__ import annotations

import logging
from typing import Any

from ts.utils.util import check_valid_pt2_backend

logger = logging.getLogger(__name__)


def compile_options(config: dict[str, Any]) -> dict[str, Any] | None:
    """Arguments for torch.compile, None when the model is not to be compiled.

    `pt2: {compile: {enable: true, backend: ...}}`, and the older `pt2: inductor` or `pt2: {backend: ...}`.
    """
    section = config.get("pt2")
    if isinstance(section, str):
        options = {"backend": section}
    elif not isinstance(section, dict):
        return None
    elif "compile" in section:
        wanted = section["compile"]
        if not isinstance(wanted, dict) or not wanted.get("enable"):
            return None
        options = {key: value for key, value in wanted.items() if key != "enable"}
    elif "export" in section:
        return None
    else:
        options = dict(section)
    backend = options.get("backend", "inductor")
    return options if check_valid_pt2_backend(backend) else None


def compile_model(model: Any, options: dict[str, Any]) -> Any:
    """The compiled model; a model that cannot be compiled is served as it is, and the log says so."""
    import torch

    try:
        compiled = torch.compile(model, **options)
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        logger.warning("Compiling model with %s failed, serving it uncompiled: %s", options, reason)
        return model
    shown = options or {"backend": "inductor"}
    logger.info("Compiled model with %s", ", ".join(f"{key} {value}" for key, value in shown.items()))
    return compiled


def wants_aot_package(config: dict[str, Any]) -> bool:
    """Whether the serialised file is an AOTInductor library: `pt2: {export: {aot_compile: true}}`."""
    section = config.get("pt2")
    export = section.get("export") if isinstance(section, dict) else None
    return isinstance(export, dict) and bool(export.get("aot_compile"))


def load_aot_package(path: str, device: Any) -> Any:
    """Loads an AOTInductor library (.so) or package (.pt2)."""
    if path.endswith(".pt2"):
        from torch._inductor import aoti_load_package

        return aoti_load_package(path)
    from torch._export import aot_load

    return aot_load(path, str(device))
