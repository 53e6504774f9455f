"""Envelopes (surface spec 9.9) that need no NumPy; kservev2 is in test_torch_handlers."""

import base64
import json
import unittest

from harness import Worker

SEEN = "def handle(d, c):\n    return None if d is None else [repr(row) for row in d]"
INSTANCES = "def handle(d, c):\n    return None if d is None else [[type(x).__name__, x if not isinstance(x, bytes) else x.decode()] for x in d]"


def as_json(value):
    return {"p": [("body", "application/json", json.dumps(value))]}


class Envelopes(unittest.TestCase):
    def test_body_hands_over_the_body_itself(self):
        with Worker({"h.py": SEEN}) as worker:
            worker.load("h.py", envelope="body")
            outcome = worker.run(as_json([1]), {"p": [("data", None, b"x")]}, {"p": [("other", "text/plain", "y")]})
            self.assertEqual(outcome.bodies, [b"[1]", b"bytearray(b'x')", b"{'other': 'y'}"])

    def test_json_joins_the_instances_and_gives_them_back(self):
        b64 = base64.b64encode(b"raw").decode()
        with Worker({"h.py": INSTANCES}) as worker:
            worker.load("h.py", envelope="json")
            outcome = worker.run(
                as_json({"instances": [1, {"b64": b64}]}),
                {"p": [("data", None, b'{"instances": ["z"]}')]},
                as_json({"instances": []}),
            )
            self.assertEqual(
                outcome.json,
                [
                    {"predictions": [["int", 1], ["bytes", "raw"]]},
                    {"predictions": [["str", "z"]]},
                    {"predictions": []},
                ],
            )

    def test_json_decodes_columns(self):
        code = "def handle(d, c):\n    return None if d is None else [x['image'].decode() + x['k'] for x in d]"
        b64 = base64.b64encode(b"raw").decode()
        with Worker({"h.py": code}) as worker:
            worker.load("h.py", envelope="json")
            outcome = worker.run(as_json({"instances": [{"image": {"b64": b64}, "k": "v"}]}))
            self.assertEqual(outcome.json, [{"predictions": ["rawv"]}])

    def test_a_wrong_number_of_predictions_is_a_mismatch(self):
        code = "def handle(d, c):\n    return None if d is None else [1]"
        with Worker({"h.py": code}) as worker:
            worker.load("h.py", envelope="json")
            for instances in ([1, 2], []):
                outcome = worker.run(as_json({"instances": instances}))
                self.assertEqual(outcome.fault, (503, "number of batch response mismatched"))

    def test_kserve_wraps_predictions_and_explanations(self):
        with Worker({"h.py": "def handle(d, c):\n    return None if d is None else [x + 1 for x in d]"}) as worker:
            worker.load("h.py", envelope="kserve")
            self.assertEqual(worker.run(as_json({"instances": [1, 2]})).json, [{"predictions": [2, 3]}])
            request = {**as_json({"instances": [1]}), "h": [["explain", "True"]]}
            self.assertEqual(worker.run(request, op="explain").json, [{"explanations": [2]}])

    def test_a_body_that_is_not_the_protocol_fails(self):
        with Worker({"h.py": SEEN}) as worker:
            worker.load("h.py", envelope="kserve")
            for body in ([1], {"instances": 1}, {}):
                self.assertEqual(worker.run(as_json(body)).fault, (503, "Prediction failed"))


if __name__ == "__main__":
    unittest.main()
