"""Requests in, answers out: surface spec 2.4 to 2.6, 9.5 and 9.7."""

import unittest

from harness import Worker

PROBE = """
import logging
from ts.utils.util import PredictionException
from ts.service import PredictionException as Same
assert Same is PredictionException

def handle(data, context):
    if data is None:
        return None
    globals()["seen"] = data
    return eval(data[0]["code"], {**globals(), "data": data, "context": context})

def raised(error):
    raise error

def also(*steps):
    return steps[-1]

def types(data):
    return [{key: [type(v).__name__, v if isinstance(v, (str, dict, list)) else v.hex()] for key, v in row.items() if key != "code"} for row in data]
"""


def ask(code, *parts, **members):
    return {"p": [("code", "text/plain", code), *parts], **members}


class Batches(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.worker = Worker({"h.py": PROBE})
        cls.addClassCleanup(cls.worker.__exit__)
        assert cls.worker.load("h.py") == {"t": "loaded"}

    def run_code(self, code, *parts, **members):
        return self.worker.run(ask(code, *parts, **members))

    def test_values_follow_their_content_type(self):
        outcome = self.run_code(
            "types(data)",
            ("j", "application/json", b'{"a": [1]}'),
            ("bad", "application/json", b"{"),
            ("t", "text/csv", "é".encode()),
            ("badtext", "text/plain", b"\xff"),
            ("case", "Application/JSON", b"{}"),
            ("none", None, b"\x00\x01"),
            ("empty", None, b""),
        )
        self.assertEqual(
            outcome.json,
            [
                {
                    "j": ["dict", {"a": [1]}],
                    "bad": ["bytearray", "7b"],
                    "t": ["str", "é"],
                    "badtext": ["bytearray", "ff"],
                    "case": ["bytearray", "7b7d"],
                    "none": ["bytearray", "0001"],
                    "empty": ["bytearray", ""],
                }
            ],
        )
        self.assertIn("Failed json decoding of input data. Forwarding encoded payload", self.worker.logged())

    def test_the_last_of_two_parts_of_one_name_wins(self):
        outcome = self.run_code("types(data)", ("x", None, b"1"), ("x", None, b"2"))
        self.assertEqual(outcome.json, [{"x": ["bytearray", "32"]}])

    def test_output_becomes_bytes_by_its_type(self):
        for code, body in (
            ("[b'\\x00\\xff']", b"\x00\xff"),
            ("[bytearray(b'ab')]", b"ab"),
            ("['é']", "é".encode()),
            ("[{'a': [1, None]}]", b'{\n  "a": [\n    1,\n    null\n  ]\n}'),
            ("[7]", b"7"),
            ("[True]", b"true"),
            ("[None]", b"null"),
            ("[[]]", b"[]"),
        ):
            with self.subTest(code=code):
                outcome = self.run_code(code)
                self.assertEqual(outcome.bodies, [body])
                self.assertEqual(outcome.results, [{"n": len(body)}])

    def test_large_bodies_come_back_unchanged(self):
        blob = bytes(range(256)) * 4000
        self.assertEqual(self.run_code("[data[0]['x']]", ("x", None, blob)).bodies, [blob])

    def test_failures_have_torchserves_codes_and_the_worker_lives_on(self):
        for code, fault in (
            ("raised(MemoryError())", (507, "Out of resources")),
            ("raised(ValueError('a CUDA error'))", (507, "Out of resources")),
            ("raised(ValueError('x'))", (503, "Prediction failed")),
            ("raised(PredictionException('Some Prediction Error', 599))", (599, "Some Prediction Error")),
            ("raised(PredictionException('plain'))", (500, "plain")),
            ("raised(PredictionException('odd', 'x'))", (500, "odd")),
            ("'text'", (503, "Invalid model predict output")),
            ("(1,)", (503, "Invalid model predict output")),
            ("[1, 2]", (503, "number of batch response mismatched")),
            ("[{1, 2}]", (503, "Unsupported model output data type.")),
            ("[object()]", (503, "Unsupported model output data type.")),
            ("also(context.set_response_status(100), [1])", (503, "Prediction failed")),
        ):
            with self.subTest(code=code):
                self.assertEqual(self.run_code(code).fault, fault)
        self.assertEqual(self.run_code("['still here']").bodies, [b"still here"])
        self.assertIn("ValueError: x", self.worker.logged())

    def test_one_refused_item_leaves_the_others(self):
        outcome = self.worker.run(ask("['a', PredictionException('no', 422), 'c']"), b"", b"")
        self.assertEqual(outcome.results, [{"n": 1}, {"n": 0, "e": [422, "no"]}, {"n": 1}])
        self.assertEqual(outcome.bodies, [b"a", b"", b"c"])

    def test_status_and_headers_belong_to_one_item(self):
        code = (
            "also(context.set_response_status(208, 'Fine', 1), context.set_response_content_type(0, 'text/x'),"
            "context.set_response_header(1, 'dummy', '1'), [context.get_response_status(1), context.get_response_content_type(0)])"
        )
        outcome = self.worker.run(ask(code), b"")
        self.assertEqual(outcome.results[0]["ct"], "text/x")
        self.assertNotIn("st", outcome.results[0])
        self.assertEqual(outcome.results[1]["st"], [208, "Fine"])
        self.assertEqual(outcome.results[1]["h"], [["dummy", "1"]])
        self.assertEqual(outcome.bodies, [b'[\n  208,\n  "Fine"\n]', b"text/x"])
        self.assertEqual(self.run_code("['next']").results, [{"n": 4}])

    def test_set_all_response_status_reaches_every_item(self):
        outcome = self.worker.run(ask("also(context.set_all_response_status(201), [1, 2])"), b"")
        self.assertEqual([result["st"] for result in outcome.results], [[201, ""], [201, ""]])

    def test_a_header_that_is_not_text_fails_the_batch(self):
        outcome = self.run_code("also(context.set_response_header(0, 'n', 1), [1])")
        self.assertEqual(outcome.fault[0], 503)

    def test_headers_keep_their_spelling_and_parts_show_their_type(self):
        outcome = self.run_code(
            "[[context.get_request_header(0, k) for k in ('Content-Type', 'content-type', 'X', 'body', 'raw')]]",
            ("body", "application/json", b"{}"),
            ("raw", None, b""),
            h=[["Content-Type", "a/b"], ["X", "1"], ["X", "2"]],
        )
        self.assertEqual(
            outcome.json, [["a/b", None, "2", {"content-type": "application/json"}, {"content-type": ""}]]
        )

    def test_a_client_cannot_choose_the_operation_by_a_header(self):
        code = "[[context.get_request_header(0, 'explain'), context.get_request_header(0, 'describe'), context.operation]]"
        headers = [["describe", "True"], ["explain", "True"]]
        self.assertEqual(self.run_code(code, h=headers).json, [[None, None, "predict"]])
        outcome = self.worker.run(ask(code, h=headers), op="explain")
        self.assertEqual(outcome.json, [["True", None, "explain"]])

    def test_the_context_tells_ids_and_properties(self):
        outcome = self.run_code(
            "[[context.get_request_id(), context.get_request_id(5), context.request_ids, context.system_properties,"
            "context.model_name, context.manifest, context.model_yaml_config, context.cl_socket]]"
        )
        first = outcome.json[0]
        self.assertEqual(first[:3], ["r0", None, {"0": "r0"}])
        self.assertEqual(
            first[3],
            {
                "model_dir": self.worker.dir,
                "gpu_id": None,
                "batch_size": 4,
                "server_name": "MMS",
                "server_version": "0.12.0",
                "limit_max_image_pixels": True,
            },
        )
        self.assertEqual(first[4:], ["m", None, {}, None])

    def test_request_processors_are_there_for_old_handlers(self):
        code = (
            "also(context.request_processor[0].report_status(418, 'tea'),"
            "context.request_processor[0].add_response_property('k', 'v'),"
            "[context.request_processor[0].get_request_property('A')])"
        )
        outcome = self.run_code(code, h=[["A", "b"]])
        self.assertEqual(outcome.results, [{"n": 1, "st": [418, "tea"], "h": [["k", "v"]]}])
        self.assertEqual(outcome.bodies, [b"b"])

    def test_attributes_a_handler_attaches_stay(self):
        self.run_code("also(setattr(context, 'cache', {'k': 1}), [1])")
        self.assertEqual(self.run_code("[context.cache]").json, [{"k": 1}])

    def test_two_batches_in_flight_are_answered_in_order(self):
        first = self.worker.post(ask("['1']"))
        second = self.worker.post(ask("['2']"))
        self.worker.send({"t": "cancel", "b": second, "i": [0]})
        self.assertEqual(self.worker.receive(), ({"t": "done", "b": first, "r": [{"n": 1}]}, b"1"))
        self.assertEqual(self.worker.receive()[0]["b"], second)

    def test_sequence_ids_come_from_the_header_or_the_server(self):
        code = "[[context.get_sequence_id(0), context.header_key_sequence_id]]"
        header = [["ts_request_sequence_id", "seq-1"]]
        self.assertEqual(self.run_code(code, h=header).json, [["seq-1", "ts_request_sequence_id"]])
        self.assertEqual(self.run_code(code, s="seq-2").json[0][0], "seq-2")
        self.assertEqual(self.run_code(code).json[0][0], "")

    def test_metric_like_lines_on_stdout_are_only_text(self):
        outcome = self.run_code("also(print('[METRICS]X.Count:1|#Level:Host|#hostname:h,1'), ['ok'])")
        self.assertEqual((outcome.metrics, outcome.bodies), ([], [b"ok"]))
        self.assertIn("[METRICS]X", self.worker.logged())

    def test_handler_logs_are_plain_lines(self):
        self.run_code("also(logging.getLogger('mine').info('hello %s', 'log'), ['ok'])")
        self.assertIn("\nhello log\n", self.worker.logged())


class Undecoded(unittest.TestCase):
    def test_without_decoding_everything_is_a_bytearray(self):
        code = "def handle(d, c):\n    return None if d is None else [[type(v).__name__ for v in d[0].values()]]"
        with Worker({"h.py": code}) as worker:
            worker.load("h.py", decodeInputRequest=False)
            outcome = worker.run({"p": [("a", "application/json", "{}"), ("b", "text/plain", "x")]})
            self.assertEqual(outcome.json, [["bytearray", "bytearray"]])


class Configured(unittest.TestCase):
    def test_the_context_carries_what_the_model_was_registered_with(self):
        code = """
        class H:
            def initialize(self, context):
                self.at_load = [context.request_ids, context.get_request_id(), context.get_request_header(0, "x")]
            def handle(self, data, context):
                return [[self.at_load, context.manifest, context.model_yaml_config, context.system_properties["gpu_id"],
                         context.get_sequence_id(0), context.header_key_sequence_end]]
        """
        with Worker({"h.py": code}) as worker:
            worker.load(
                "h.py",
                manifest={"model": {"modelName": "n"}},
                config={"handler": {"k": 1}},
                gpuId=3,
                sequenceHeaders={"id": "seq", "start": "seq-start", "end": "seq-end"},
            )
            outcome = worker.run({"p": [], "h": [["seq", "s1"]]})
            self.assertEqual(
                outcome.json,
                [[[None, None, None], {"model": {"modelName": "n"}}, {"handler": {"k": 1}}, 3, "s1", "seq-end"]],
            )


class Life(unittest.TestCase):
    NOOP = {"h.py": "def handle(d, c):\n    return None if d is None else [b'OK'] * len(d)"}

    def test_hello_is_first_and_the_log_says_that_the_worker_started(self):
        with Worker(self.NOOP) as worker:
            self.assertEqual(worker.hello, {"t": "hello", "pid": worker.process.pid, "runtime": "python"})
            worker.load("h.py")
            self.assertIn("Torch worker started.\n", worker.logged())

    def test_stop_ends_it_after_the_batch_in_hand(self):
        with Worker(self.NOOP) as worker:
            worker.load("h.py")
            worker.post(b"x")
            worker.send({"t": "stop"})
            self.assertEqual(worker.receive()[1], b"OK")
            self.assertEqual(worker.ended(), 0)

    def test_a_closed_socket_ends_it(self):
        for loaded in (False, True):
            with Worker(self.NOOP) as worker:
                if loaded:
                    worker.load("h.py")
                worker.sock.close()
                self.assertEqual(worker.ended(), 0)

    def test_frames_that_break_the_protocol_end_it(self):
        request = {"id": "a", "h": [], "p": [["body", None, 5]]}
        for header, body in (
            ({"t": "what"}, b""),
            ({"t": "run", "b": 1, "op": "predict", "r": []}, b""),
            ({"t": "run", "b": 1, "op": "sing", "r": [request]}, b"12345"),
            ({"t": "run", "b": 1, "op": "predict", "r": [request]}, b"1234"),
            ({"t": "run", "b": 1, "op": "predict", "r": [request]}, b"123456"),
            ({"t": "run", "b": 1, "op": "predict", "r": [{"id": "a"}]}, b""),
        ):
            with self.subTest(header=header), Worker(self.NOOP) as worker:
                worker.load("h.py")
                worker.send(header, body)
                self.assertEqual(worker.ended(), 70)

    def test_a_handler_that_closes_descriptor_three_hurts_only_itself(self):
        code = "import os\ndef handle(d, c):\n    if d is None: return\n    os.close(3)\n    return ['x']"
        with Worker({"h.py": code}) as worker:
            worker.load("h.py")
            worker.post(b"x")
            self.assertNotEqual(worker.ended(), 0)

    def test_children_of_a_handler_do_not_hold_the_socket(self):
        code = """
        import os, subprocess, sys
        def handle(d, c):
            if d is None: return
            run = subprocess.run([sys.executable, "-c", "import os; os.fstat(3)"], capture_output=True, close_fds=False)
            return [run.returncode]
        """
        with Worker({"h.py": code}) as worker:
            worker.load("h.py")
            self.assertEqual(worker.run(b"").json, [1])


if __name__ == "__main__":
    unittest.main()
