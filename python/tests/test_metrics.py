"""The handler metric API (surface spec 4.7) and its frames."""

import unittest

from harness import Worker
from ts.metrics.dimension import Dimension
from ts.metrics.metric_cache_errors import MetricsCacheKeyError, MetricsCacheValueError
from ts.metrics.metric_type_enum import MetricTypes
from ts.metrics.metrics_cache import MetricsCache

MODEL = [["ModelName", "m"], ["Level", "Model"]]


class Cache(unittest.TestCase):
    def setUp(self):
        self.sent = []
        self.cache = MetricsCache("m", self.sent.append, lambda: ["a", "b"])

    def test_each_call_has_its_type_and_unit(self):
        cache = self.cache
        cache.add_counter("c", 1)
        cache.add_time("t", 2.5)
        cache.add_time("t2", 2, unit="s", metric_type=MetricTypes.HISTOGRAM)
        cache.add_size("s", 3)
        cache.add_size("s2", 3, unit="kB")
        cache.add_percent("p", 4)
        cache.add_metric("m", 5, "widgets")
        self.assertEqual(
            [(r["n"], r["v"], r["u"], r["type"]) for r in self.sent],
            [
                ("c", 1.0, "Count", "counter"),
                ("t", 2.5, "Milliseconds", "gauge"),
                ("t2", 2.0, "Seconds", "histogram"),
                ("s", 3.0, "Megabytes", "gauge"),
                ("s2", 3.0, "Kilobytes", "gauge"),
                ("p", 4.0, "Percent", "gauge"),
                ("m", 5.0, "widgets", "counter"),
            ],
        )
        self.assertTrue(all(record["d"] == MODEL for record in self.sent))

    def test_errors_have_their_own_level(self):
        self.cache.add_error("e", 1)
        self.assertEqual(self.sent[0]["d"], [["ModelName", "m"], ["Level", "Error"]])
        self.assertEqual(self.sent[0]["u"], "unit")

    def test_dimensions_come_before_the_appended_ones(self):
        self.cache.add_counter("c", 1, dimensions=[Dimension("Kind", "x"), Dimension("Level", "Host")])
        self.assertEqual(self.sent[0]["d"], [["Kind", "x"], ["Level", "Host"], ["ModelName", "m"]])

    def test_request_ids_are_the_batchs_or_the_items(self):
        self.cache.add_counter("c", 1)
        self.cache.add_counter("c", 1, 1)
        self.assertEqual([record["q"] for record in self.sent], [["a", "b"], ["b"]])

    def test_wrong_units_are_refused(self):
        with self.assertRaises(MetricsCacheValueError) as raised:
            self.cache.add_time("t", 1, unit="min")
        self.assertEqual(str(raised.exception), "the unit for a timed metric should be one of ['ms', 's']")
        with self.assertRaises(ValueError):
            self.cache.add_size("s", 1, unit="TB")

    def test_a_metric_object_emits_when_it_is_updated(self):
        metric = self.cache.add_metric_to_cache("x", "count", ["A", "B"])
        self.assertEqual(self.sent, [])
        metric.add_or_update(1, ["1", "2"], "id1,id2")
        metric.update(2, "id", [Dimension("B", "b"), Dimension("A", "a")])
        self.assertEqual([record["d"] for record in self.sent], [[["A", "1"], ["B", "2"]], [["A", "a"], ["B", "b"]]])
        self.assertEqual(self.sent[0]["q"], ["id1", "id2"])
        self.assertIs(self.cache.get_metric("x"), metric)

    def test_an_unknown_metric_is_an_error(self):
        with self.assertRaises(MetricsCacheKeyError):
            self.cache.get_metric("x", MetricTypes.GAUGE)

    def test_what_cannot_be_counted_is_logged_and_dropped(self):
        metric = self.cache.add_metric_to_cache("x", "count", ["A"])
        with self.assertLogs(level="ERROR") as logs:
            metric.add_or_update(-1, ["a"])
            metric.add_or_update(1, [])
            metric.add_or_update("text", ["a"])
            metric.add_or_update(float("nan"), ["a"])
        self.assertEqual((len(logs.output), self.sent), (4, []))

    def test_configured_dimension_order_wins(self):
        self.cache.configure(
            {"counter": [{"name": "c", "unit": "Count", "dimensions": ["Level", "ModelName", "Hostname"]}]}
        )
        self.cache.add_counter("c", 1)
        self.assertEqual(self.sent[0]["d"], [["Level", "Model"], ["ModelName", "m"]])


class Frames(unittest.TestCase):
    CODE = "def handle(d, c):\n    if d is None: return\n    c.metrics.add_counter('Mine', 2)\n    return ['x'] * len(d)"
    LISTED = {"gauge": [{"name": "PredictionTime", "unit": "ms", "dimensions": ["ModelName", "Level", "Hostname"]}]}

    def test_metrics_arrive_ahead_of_the_answer(self):
        with Worker({"h.py": self.CODE}) as worker:
            worker.load("h.py", metrics=self.LISTED)
            outcome = worker.run(b"", b"")
            mine, time = outcome.metrics
            self.assertEqual(
                mine, {"n": "Mine", "v": 2.0, "u": "Count", "type": "counter", "d": MODEL, "q": ["r0", "r1"]}
            )
            self.assertEqual((time["n"], time["u"], time["type"], time["d"]), ("PredictionTime", "Milliseconds", "gauge", MODEL))
            self.assertNotIn("Mine", worker.logged())

    def test_prediction_time_is_sent_only_where_it_is_listed(self):
        with Worker({"h.py": self.CODE}) as worker:
            worker.load("h.py")
            self.assertEqual([record["n"] for record in worker.run(b"").metrics], ["Mine"])


if __name__ == "__main__":
    unittest.main()
