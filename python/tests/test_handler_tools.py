"""Helpers that handlers import: micro-batching, timers, streamers, mappings, the launcher (surface spec 9.2)."""

import json
import os
import stat
import tempfile
import threading
import types
import unittest
from unittest import mock

import harness  # noqa: F401
from ts import launcher
from ts.context import Context
from ts.handler_utils.hf_batch_streamer import TextIteratorStreamerBatch
from ts.handler_utils.micro_batching import MicroBatching
from ts.handler_utils.timer import timed
from ts.handler_utils.utils import import_class
from ts.metrics.metrics_cache import MetricsCache
from ts.torch_handler import compilation, weights
from ts.utils.util import (
    check_valid_pt2_backend,
    list_classes_from_module,
    load_label_mapping,
    map_class_to_label,
)


def context(operation="predict", count=0, config=None):
    made = Context("m", "/", None, 8, None, "0.12.0", model_yaml_config=config)
    made.sent = []
    made.metrics = MetricsCache("m", made.sent.append, lambda: [])
    made.begin([{"id": str(i), "h": [], "p": []} for i in range(count)], operation, None)
    return made


class Doubler:
    def __init__(self):
        self.context = None
        self.threads = set()

    def preprocess(self, rows):
        return [int(row) for row in rows]

    def inference(self, values):
        self.threads.add(threading.current_thread().name)
        if 13 in values:
            raise ValueError("unlucky")
        return [value * 2 for value in values]

    def postprocess(self, values):
        return [str(value) for value in values]

    def explain_handle(self, values, rows):
        return [f"why {row}" for row in rows]

    def describe_handle(self):
        return "a doubler"

    def _is_explain(self):
        return self.context.operation == "explain"

    def _is_describe(self):
        return self.context.operation == "describe"


class MicroBatches(unittest.TestCase):
    def make(self, size=2, **parallelism):
        batching = MicroBatching(Doubler(), size, parallelism)
        self.addCleanup(batching.shutdown)
        return batching

    def test_answers_keep_their_order(self):
        made = context(count=7)
        batching = self.make(2, inference=3)
        self.assertEqual(batching([*"0123456"], made), ["0", "2", "4", "6", "8", "10", "12"])
        self.assertEqual([record["n"] for record in made.sent], ["HandlerTime"])
        self.assertTrue(all(name.startswith("inference") for name in batching.handler.threads))

    def test_explain_and_describe_are_honoured(self):
        self.assertEqual(self.make()(["1", "2", "3"], context("explain", 3)), ["why 1", "why 2", "why 3"])
        self.assertEqual(self.make()(["1"], context("describe", 1)), ["a doubler"])

    def test_a_failure_fails_the_batch(self):
        with self.assertRaisesRegex(ValueError, "unlucky"):
            self.make()(["1", "2", "13"], context(count=3))

    def test_parallelism_may_change_between_batches(self):
        batching = self.make()
        batching.parallelism = {"preprocess": 2}
        self.assertEqual(batching.parallelism, {"preprocess": 2, "inference": 1, "postprocess": 1})
        self.assertEqual(batching(["4"], context(count=1)), ["8"])
        with self.assertRaises(ValueError):
            batching.parallelism = {"cooking": 1}


class Tools(unittest.TestCase):
    def test_timed_methods_emit_only_when_profiling_is_on(self):
        class H:
            @timed
            def preprocess(self):
                return 1

        for config, names in (({}, []), ({"handler": {"profile": True}}, ["ts_handler_preprocess"])):
            handler = H()
            handler.context = context(config=config)
            self.assertEqual(handler.preprocess(), 1)
            self.assertEqual([record["n"] for record in handler.context.sent], names)

    def test_label_files_come_in_three_shapes(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "index_to_name.json")
            for content, expected in (
                ({"0": "cat"}, {"0": "cat"}),
                ({"0": ["n01", "cat"]}, {"0": "cat"}),
                ({"object_type_names": ["a", "b"]}, {"0": "a", "1": "b"}),
            ):
                with open(path, "w") as file:
                    json.dump(content, file)
                self.assertEqual(load_label_mapping(path), expected)
            with self.assertLogs(level="WARNING"):
                self.assertIsNone(load_label_mapping(os.path.join(folder, "absent.json")))

    def test_probabilities_are_labelled(self):
        self.assertEqual(map_class_to_label([[0.9, 0.1]]), [{"0": 0.9, "1": 0.1}])
        self.assertEqual(map_class_to_label([[0.9]], {"7": "x"}, [[7]]), [{"x": 0.9}])
        with self.assertRaises(TypeError):
            map_class_to_label("no")

    def test_only_the_modules_own_classes_are_listed(self):
        module = types.ModuleType("mine")
        exec("class A: pass\nclass B(A): pass", module.__dict__)
        module.Foreign = Doubler
        self.assertEqual([c.__name__ for c in list_classes_from_module(module)], ["A", "B"])
        self.assertEqual([c.__name__ for c in list_classes_from_module(module, module.B)], ["B"])

    def test_classes_are_imported_by_name(self):
        self.assertIs(import_class("ts.context.Context"), Context)
        self.assertIs(import_class("micro_batching", "ts.handler_utils"), MicroBatching)

    def test_compile_options_have_three_spellings(self):
        options = compilation.compile_options
        self.assertIsNone(options({}))
        self.assertEqual(options({"pt2": "inductor"}), {"backend": "inductor"})
        self.assertEqual(options({"pt2": {"backend": "eager"}}), {"backend": "eager"})
        self.assertEqual(
            options({"pt2": {"compile": {"enable": True, "backend": "inductor", "mode": "reduce-overhead"}}}),
            {"backend": "inductor", "mode": "reduce-overhead"},
        )
        self.assertIsNone(options({"pt2": {"compile": {"enable": False}}}))
        self.assertIsNone(options({"pt2": {"export": {"aot_compile": True}}}))
        with self.assertLogs(level="WARNING") as logs:
            self.assertIsNone(options({"pt2": "magic"}))
            self.assertFalse(check_valid_pt2_backend("magic"))
        self.assertIn("magic is not a supported backend", logs.output[0])

    def test_torch_versions_are_compared_as_numbers(self):
        for text, version in (("2.9.1", (2, 9)), ("2.10.0a0+git", (2, 10)), ("2.13.0+cu130", (2, 13))):
            self.assertEqual(weights.torch_version(text), version)

    def test_batch_streams_hold_back_unfinished_words(self):
        class Rows(list):
            def tolist(self):
                return list(self)

        class Tokenizer:
            def decode(self, tokens, **_):
                return "".join(tokens)

        streamer = TextIteratorStreamerBatch(Tokenizer(), 2, skip_prompt=True, timeout=5)
        streamer.put(Rows([["prompt"], ["prompt"]]))
        streamer.put(Rows(["he", "a "]))
        streamer.put(Rows(["llo ", "b"]))
        streamer.end()
        self.assertEqual(list(streamer), [["", "a "], ["hello ", ""], ["", "b"]])


class Launcher(unittest.TestCase):
    def run_with(self, script):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "torchserve")
        with open(path, "w") as file:
            file.write(f"#!/bin/sh\necho \"$@\" >> {folder.name}/calls\ncase $1 in --stop) exit 0;; esac\n{script}\n")
        os.chmod(path, stat.S_IRWXU)
        patched = mock.patch.dict(os.environ, PATH=f"{folder.name}:{os.environ['PATH']}")
        patched.start()
        self.addCleanup(patched.stop)
        return os.path.join(folder.name, "calls")

    def test_start_waits_for_the_ready_line_and_hands_on_the_rest(self):
        calls = self.run_with("echo booting; echo 'x Model server started.'; echo later")
        lines = launcher.start("store", no_config_snapshots=True, disable_token=True, models="all")
        self.assertEqual((lines.get(timeout=10), lines.get(timeout=10)), ("later\n", None))
        with open(calls) as file:
            self.assertEqual(
                file.read().splitlines(),
                [
                    "--stop --foreground",
                    "--start --model-store store --models all --no-config-snapshots --disable-token-auth --enable-model-api",
                ],
            )

    def test_a_server_that_ends_early_is_an_error_with_its_output(self):
        self.run_with("echo no store; exit 1")
        with self.assertRaisesRegex(RuntimeError, "no store"):
            launcher.start("store")

    def test_registration_is_a_management_request(self):
        from http.server import BaseHTTPRequestHandler, HTTPServer

        asked = []

        class Management(BaseHTTPRequestHandler):
            def do_POST(self):
                asked.append(self.path)
                self.send_response(200 if "good" in self.path else 404)
                self.end_headers()
                self.wfile.write(b'{"status": "done"}')

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Management)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        with mock.patch.object(launcher, "MANAGEMENT", f"http://127.0.0.1:{server.server_port}"):
            answer = launcher.register_model("good")
            self.assertEqual((answer.status_code, answer.json()), (200, {"status": "done"}))
            self.assertEqual(launcher.register_model_with_params({"url": "bad.mar"}).status_code, 404)
        self.assertEqual(
            asked[0], "/models?model_name=good&url=good.mar&initial_workers=1&synchronous=true"
        )


if __name__ == "__main__":
    unittest.main()
