"""The PredictionTime metric of every batch (surface spec 4.4), written by hand: it is on the path of each answer."""

from __future__ import annotations

import time
from json.encoder import encode_basestring_ascii as quote
from typing import Any, Callable, Mapping

from davy_worker.metric_frames import MetricOutbox
from davy_worker.ration import Ration
from ts.context import Context
from ts.metrics.metric import UNITS

NAME = "PredictionTime"

# Takes the milliseconds of a batch and its context.
PredictionTime = Callable[[float, Context], None]


def prediction_time(
    section: Mapping[str, Any] | None, model_name: str, outbox: MetricOutbox, interval_ms: float = 0
) -> PredictionTime | None:
    """What to call after each batch; None where the `model_metrics` section does not list the metric.

    A gauge shows its latest value: where the server keeps nothing else, one in `interval_ms` is enough under load.
    """
    found = _listed(section or {})
    if found is None:
        return None
    kind, entry = found
    labels = {"ModelName": model_name, "Level": "Model"}
    names = [str(name) for name in entry.get("dimensions") or () if name != "Hostname"]
    pairs = ",".join(f"[{quote(name)},{quote(labels.get(name, ''))}]" for name in names)
    unit = UNITS.get(entry["unit"], entry["unit"])
    head = f'{{"n":"{NAME}","v":'
    tail = f',"u":{quote(unit)},"type":"{kind}","d":[{pairs}],"q":['
    add = outbox.add_text
    interval = interval_ms / 1000 if kind == "gauge" else 0.0
    due = 0.0
    # The server writes as many lines of one series, each with its value; what comes beyond is thinned here.
    unthinned = Ration()

    def record(millis: float, context: Context) -> None:
        nonlocal due
        if interval > 0:
            now = time.monotonic()
            if not unthinned.take() and now < due:
                return
            due = now + interval
        ids = ",".join([quote(request["id"]) for request in context._requests])
        add(f"{head}{millis:.3f}{tail}{ids}]}}")

    return record


def _listed(section: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    for kind in ("counter", "gauge", "histogram"):
        for entry in section.get(kind) or ():
            if entry.get("name") == NAME:
                return kind, entry
    return None
