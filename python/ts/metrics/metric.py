"""A metric object: updating it emits it (surface spec 4.7)."""

from __future__ import annotations

import logging
import math
from typing import Any, Callable, Sequence

from ts.metrics.dimension import Dimension
from ts.metrics.metric_type_enum import MetricTypes

logger = logging.getLogger(__name__)

UNITS = {
    "ms": "Milliseconds",
    "s": "Seconds",
    "percent": "Percent",
    "count": "Count",
    "MB": "Megabytes",
    "GB": "Gigabytes",
    "kB": "Kilobytes",
    "B": "Bytes",
    "": "unit",
    None: "unit",
}

# Takes (name, value, unit, type, dimensions, request ids) and queues it for the server.
Emit = Callable[[dict[str, Any]], None]


class Metric:
    """One metric with fixed name, unit, type and dimension names."""

    def __init__(
        self,
        metric_name: str,
        unit: str,
        dimension_names: Sequence[str],
        metric_type: MetricTypes,
        emit: Emit,
    ) -> None:
        self.metric_name = metric_name
        self.unit = UNITS.get(unit, unit)
        self.dimension_names = list(dimension_names)
        self.metric_type = metric_type
        self._emit = emit

    def add_or_update(self, value: float, dimension_values: Sequence[str] = (), request_id: str = "") -> None:
        """Emits `value` for these dimension values, in the order of the dimension names.

        A value that cannot be counted is logged and dropped: a metric must not fail a prediction.
        """
        if len(dimension_values) != len(self.dimension_names):
            logger.error(
                "metric %s takes the dimensions %s, got %s",
                self.metric_name,
                self.dimension_names,
                list(dimension_values),
            )
            return
        number = _number(value)
        if number is None or (number < 0 and self.metric_type is MetricTypes.COUNTER):
            logger.error("metric %s of type %s cannot take %r", self.metric_name, self.metric_type.value, value)
            return
        self._emit(
            {
                "n": self.metric_name,
                "v": number,
                "u": self.unit,
                "type": self.metric_type.value,
                "d": [[name, str(label)] for name, label in zip(self.dimension_names, dimension_values)],
                "q": request_id.split(",") if request_id else [],
            }
        )

    def update(self, value: float, request_id: str = "", dimensions: Sequence[Dimension] = ()) -> None:
        """The older form of `add_or_update`, with the dimensions as objects."""
        values = {dimension.name: dimension.value for dimension in dimensions}
        self.add_or_update(value, [values.get(name, "") for name in self.dimension_names], request_id)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
