"""`context.metrics`: makes metrics on first use and emits values to the server (surface spec 4.7).

Values travel in `metric` frames on the worker's private channel, never over stdout.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping, Sequence

from ts.metrics.dimension import Dimension
from ts.metrics.metric import Emit, Metric
from ts.metrics.metric_cache_errors import MetricsCacheKeyError, MetricsCacheValueError
from ts.metrics.metric_type_enum import MetricTypes

TIME_UNITS = ("ms", "s")
SIZE_UNITS = ("MB", "kB", "GB", "B")


class MetricsCache:
    """Every metric of one worker. `request_ids` tells the ids of the batch in hand, in order."""

    def __init__(self, model_name: str, emit: Emit, request_ids: Callable[[], Sequence[str]]) -> None:
        self._model_name = model_name
        self._emit = emit
        self._request_ids = request_ids
        self._metrics: dict[tuple[str, MetricTypes], Metric] = {}

    def bound_to(self, request_ids: Callable[[], Sequence[str]]) -> "MetricsCache":
        """The same metrics seen from another batch (asynchronous handlers)."""
        other = MetricsCache(self._model_name, self._emit, request_ids)
        other._metrics = self._metrics
        return other

    def configure(self, section: Mapping[str, Any]) -> None:
        """Adds the metrics of a `model_metrics` section (surface spec 4.5)."""
        for kind in MetricTypes:
            for entry in section.get(kind.value) or ():
                names = [str(name) for name in entry.get("dimensions") or () if name != "Hostname"]
                self.add_metric_to_cache(entry["name"], entry["unit"], names, kind)

    def add_metric_to_cache(
        self,
        metric_name: str,
        unit: str,
        dimension_names: Sequence[str] = (),
        metric_type: MetricTypes = MetricTypes.COUNTER,
    ) -> Metric:
        """Makes (or replaces) a metric without emitting anything."""
        if not isinstance(metric_type, MetricTypes):
            raise MetricsCacheValueError(f"metric type {metric_type!r} is not one of MetricTypes")
        metric = Metric(metric_name, unit, dimension_names, metric_type, self._emit)
        self._metrics[(metric_name, metric_type)] = metric
        return metric

    def get_metric(self, metric_name: str, metric_type: MetricTypes = MetricTypes.COUNTER) -> Metric:
        metric = self._metrics.get((metric_name, metric_type))
        if metric is None:
            raise MetricsCacheKeyError(f"Metric of type '{metric_type}' with name '{metric_name}' is not in the cache")
        return metric

    def add_metric(
        self,
        name: str,
        value: float,
        unit: str,
        idx: int | None = None,
        dimensions: Sequence[Dimension] = (),
        metric_type: MetricTypes = MetricTypes.COUNTER,
    ) -> None:
        self._add(name, value, unit, idx, dimensions, metric_type, "Model")

    def add_counter(
        self, name: str, value: float, idx: int | None = None, dimensions: Sequence[Dimension] = ()
    ) -> None:
        self._add(name, value, "count", idx, dimensions, MetricTypes.COUNTER, "Model")

    def add_time(
        self,
        name: str,
        value: float,
        idx: int | None = None,
        unit: str = "ms",
        dimensions: Sequence[Dimension] = (),
        metric_type: MetricTypes = MetricTypes.GAUGE,
    ) -> None:
        if unit not in TIME_UNITS:
            raise MetricsCacheValueError("the unit for a timed metric should be one of ['ms', 's']")
        self._add(name, value, unit, idx, dimensions, metric_type, "Model")

    def add_size(
        self,
        name: str,
        value: float,
        idx: int | None = None,
        unit: str = "MB",
        dimensions: Sequence[Dimension] = (),
        metric_type: MetricTypes = MetricTypes.GAUGE,
    ) -> None:
        if unit not in SIZE_UNITS:
            raise ValueError("The unit for size based metric is one of ['MB', 'kB', 'GB', 'B']")
        self._add(name, value, unit, idx, dimensions, metric_type, "Model")

    def add_percent(
        self,
        name: str,
        value: float,
        idx: int | None = None,
        dimensions: Sequence[Dimension] = (),
        metric_type: MetricTypes = MetricTypes.GAUGE,
    ) -> None:
        self._add(name, value, "percent", idx, dimensions, metric_type, "Model")

    def add_error(self, name: str, value: float, dimensions: Sequence[Dimension] = ()) -> None:
        self._add(name, value, "", None, dimensions, MetricTypes.COUNTER, "Error")

    def _add(
        self,
        name: str,
        value: float,
        unit: str,
        idx: int | None,
        dimensions: Sequence[Dimension],
        metric_type: MetricTypes,
        level: str,
    ) -> None:
        labels = {dimension.name: dimension.value for dimension in dimensions or ()}
        labels.setdefault("ModelName", self._model_name)
        labels.setdefault("Level", level)
        metric = self._metrics.get((name, metric_type))
        if metric is None or metric.dimension_names != list(labels):
            # The configured order of dimensions wins; values find their place by name.
            if metric is not None and set(metric.dimension_names) == set(labels):
                labels = {key: labels[key] for key in metric.dimension_names}
            else:
                metric = self.add_metric_to_cache(name, unit, list(labels), metric_type)
        metric.add_or_update(value, list(labels.values()), self._ids(idx))

    def _ids(self, idx: int | None) -> str:
        ids = self._request_ids()
        if idx is None:
            return ",".join(ids)
        return ids[idx] if 0 <= idx < len(ids) else ""
