"""Which code a handler name starts (surface spec 9.1), and what its failure is called."""

import unittest

from harness import Worker

CLASS = """
class H:
    def initialize(self, context):
        self.name = context.model_name
    def handle(self, data, context):
        return [self.name] * len(data)
"""
FUNCTION = """
seen = []
def handle(data, context):
    seen.append(data is None)
    return None if data is None else [str(seen)] * len(data)
def other(data, context):
    return None if data is None else ["other"] * len(data)
"""


class EntryPoint(unittest.TestCase):
    def answer(self, files, handler, **model):
        with Worker(files) as worker:
            self.assertEqual(worker.load(handler, **model), {"t": "loaded"})
            return worker.run(b"x").bodies[0]

    def test_a_class_is_initialised_once_and_handles(self):
        for name in ("h", "h.py", "some/dir/h.py"):
            self.assertEqual(self.answer({"h.py": CLASS}, name), b"m")

    def test_a_function_is_called_once_with_no_data_at_load(self):
        self.assertEqual(self.answer({"h.py": FUNCTION}, "h.py"), b"[True, False]")

    def test_a_named_function_is_the_entry_point(self):
        self.assertEqual(self.answer({"h.py": FUNCTION}, "h.py:other"), b"other")
        self.assertEqual(self.answer({"h.py": FUNCTION}, "/abs/h.py:other"), b"other")

    def test_a_missing_function_means_class_mode(self):
        self.assertEqual(self.answer({"h.py": CLASS}, "h.py:absent"), b"m")

    def test_a_handler_may_replace_handle_while_it_initialises(self):
        code = """
        class H:
            def initialize(self, context):
                self.handle = lambda data, context: ["replaced"] * len(data)
            def handle(self, data, context):
                return []
        """
        self.assertEqual(self.answer({"h.py": code}, "h"), b"replaced")

    def test_siblings_are_importable_and_the_working_directory_is_the_archive(self):
        files = {
            "h.py": "import side, pack.inner\ndef handle(d, c):\n    return None if d is None else [side.V + pack.inner.V + open('note.txt').read()]",
            "side.py": "V = 'a'",
            "pack/__init__.py": "",
            "pack/inner.py": "V = 'b'",
            "note.txt": "c",
        }
        self.assertEqual(self.answer(files, "h.py"), b"abc")


class LoadFailures(unittest.TestCase):
    def failure(self, code, handler="h.py", **model):
        with Worker({"h.py": code}) as worker:
            answer = worker.load(handler, **model)
            self.assertEqual(answer["t"], "failed")
            self.assertEqual(worker.ended(), 1)
            return answer["code"], answer["message"], worker.logged()

    def test_two_classes_are_one_too_many(self):
        code, message, _ = self.failure("class A: pass\nclass B: pass\n")
        self.assertEqual(code, 500)
        self.assertIn("Expected only one class in custom service code or a function entry point", message)

    def test_a_class_without_handle_is_refused(self):
        self.assertIn("Expect handle method in class", self.failure("class A: pass\n")[1])

    def test_an_import_error_inside_the_handler_is_shown_as_it_is(self):
        _, message, log = self.failure("import not_there_at_all\n")
        self.assertIn("No module named 'not_there_at_all'", message)
        self.assertIn("Traceback", log)

    def test_a_handler_that_is_nowhere_is_named(self):
        self.assertIn("nope", self.failure("", "nope")[1])

    def test_memory_errors_are_507(self):
        for raised in ("MemoryError()", "RuntimeError('CUDA out of memory')"):
            code, message, _ = self.failure(f"def handle(d, c):\n    raise {raised}")
            self.assertEqual((code, message), (507, "System out of memory"))

    def test_another_runtime_error_is_500(self):
        code, message, log = self.failure("def handle(d, c):\n    raise RuntimeError('why')")
        self.assertEqual(code, 500)
        self.assertTrue(message.startswith("Unknown exception"))
        self.assertIn("why", log)

    def test_an_unknown_envelope_is_refused(self):
        self.assertIn("envelope", self.failure("def handle(d, c): pass", envelope="os")[1])

    def test_a_cage_that_cannot_be_applied_stops_the_load_before_the_handler_runs(self):
        code, _, log = self.failure("print('handler ran')\ndef handle(d, c): pass", cage={"landlock": {"minAbi": 10_000}})
        self.assertEqual(code, 500)
        self.assertNotIn("handler ran", log)

    def test_engines_that_are_not_here_are_named(self):
        for handler, package in (("vllm_handler", "vllm"), ("trt_llm_handler", "tensorrt_llm")):
            self.assertIn(package, self.failure("", handler)[1])


class Imports(unittest.TestCase):
    def test_archive_files_do_not_replace_what_the_worker_imports(self):
        evil = "print('SHADOWED')\nraise SystemExit(9)\n"
        names = ("json", "sitecustomize", "usercustomize", "logging", "struct", "socket", "encodings", "asyncio")
        files = {f"{name}.py": evil for name in names}
        files |= {"ts/__init__.py": evil, "davy_worker/__init__.py": evil, "x.pth": "import os; print('SHADOWED')"}
        files["h.py"] = """
        import json, asyncio, ts, ts.context, davy_worker
        def handle(data, context):
            return None if data is None else [json.dumps({"ok": ts.__version__})]
        """
        with Worker(files) as worker:
            self.assertEqual(worker.load("h.py"), {"t": "loaded"})
            self.assertEqual(worker.run(b"").json, [{"ok": "0.12.0"}])
            self.assertNotIn("SHADOWED", worker.logged())

    def test_a_handler_may_bear_a_reserved_name(self):
        code = "import json\ndef handle(d, c):\n    return None if d is None else [json.dumps(1)]"
        with Worker({"json.py": code}) as worker:
            self.assertEqual(worker.load("json.py"), {"t": "loaded"})
            self.assertEqual(worker.run(b"").bodies, [b"1"])

    def test_byte_code_in_the_archive_is_not_run_in_place_of_the_source(self):
        import importlib.util
        import marshal

        planted = compile("V = 'planted'", "side.py", "exec")
        # An unchecked hash-based pyc: Python would take it without looking at the source.
        pyc = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + marshal.dumps(planted)
        cached = importlib.util.cache_from_source("side.py")
        files = {
            "side.py": "V = 'source'",
            cached: pyc,
            "h.py": "import side\ndef handle(d, c):\n    return None if d is None else [side.V]",
        }
        with Worker(files) as worker:
            worker.load("h.py")
            self.assertEqual(worker.run(b"").bodies, [b"source"])

    def test_operator_paths_come_after_the_archive(self):
        files = {"extra/helper_mod.py": "V = 'extra'", "h.py": "import helper_mod\ndef handle(d, c):\n    return None if d is None else [helper_mod.V]"}
        with Worker(files) as probe:
            with Worker({"h.py": files["h.py"]}, {"PYTHONPATH": f"{probe.dir}/extra"}) as worker:
                self.assertEqual(worker.load("h.py"), {"t": "loaded"})
                self.assertEqual(worker.run(b"").bodies, [b"extra"])


if __name__ == "__main__":
    unittest.main()
