"""What the metrics API raises (surface spec 4.7)."""


class MetricsCacheKeyError(Exception):
    """No metric of that name and type."""


class MetricsCacheTypeError(Exception):
    """A value of the wrong type."""


class MetricsCacheValueError(Exception):
    """A value outside what the call takes."""
