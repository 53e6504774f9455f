"""The default handlers with real torch (surface spec 9.3, 9.4)."""

import base64
import io
import json
import os
import pathlib
import pickle
import sys
import tempfile
import unittest
from collections import OrderedDict
from unittest import mock

import harness

try:
    import numpy
    import torch
    from PIL import Image

    MISSING = None
except ImportError as error:
    MISSING = f"{error.name} is not installed"
    print(f"SKIPPED test_torch_handlers: {MISSING}", file=sys.stderr)

from davy_worker import frameworks
from ts.context import Context
from ts.metrics.metrics_cache import MetricsCache
from ts.utils.util import PredictionException  # noqa: F401  (the surface handlers import)

NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 3, bias=False)
    def forward(self, x):
        return self.layer(x)
"""
PICTURE = """
import torch

class Picture(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 7)
    def forward(self, x):
        return self.layer(x.mean(dim=(2, 3)))
"""
TEXT = """
import torch

class Text(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.EmbeddingBag(6, 4, mode="mean")
        self.fc = torch.nn.Linear(4, 2)
    def forward(self, text, offsets):
        return self.fc(self.embedding(text, offsets))
"""


class Case(unittest.TestCase):
    """A model directory, and a handler initialised on it in this process."""

    def setUp(self):
        if MISSING:
            self.skipTest(MISSING)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name

    def write(self, name, content):
        path = os.path.join(self.dir, name)
        with open(path, "w" if isinstance(content, str) else "wb") as file:
            file.write(content)
        return path

    def module(self, name, code):
        """The class of a model file, importable for the handler while the test runs."""
        self.write(f"{name}.py", code)
        sys.path.insert(0, self.dir)
        self.addCleanup(sys.path.remove, self.dir)
        self.addCleanup(sys.modules.pop, name, None)
        sys.modules.pop(name, None)
        scope = {"__name__": "scratch"}
        exec(code, scope)
        return next(value for key, value in scope.items() if isinstance(value, type))

    def context(self, rows=1, operation="predict", config=None, **model):
        made = Context("m", self.dir, {"model": model}, 4, None, "0.12.0", model_yaml_config=config or {})
        made.sent = []
        made.metrics = MetricsCache("m", made.sent.append, lambda: [])
        made.begin([{"id": str(i), "h": [], "p": []} for i in range(rows)], operation, None)
        return made


class Base(Case):
    def handler(self):
        from ts.torch_handler.base_handler import BaseHandler

        return BaseHandler()

    def initialised(self, **model):
        handler = self.handler()
        handler.initialize(self.context(config=model.pop("config", None), **model))
        return handler

    def weights(self):
        net = self.module("net", NET)()
        return net, net.state_dict()

    def assert_same(self, handler, net):
        rows = [[1.0, 2.0], [3.0, -1.0]]
        context = self.context(2)
        self.assertEqual(handler.handle(rows, context), net(torch.tensor(rows)).tolist())
        self.assertEqual([record["n"] for record in context.sent], ["HandlerTime"])

    def test_eager_weights_from_a_checkpoint(self):
        net, state = self.weights()
        torch.save(state, os.path.join(self.dir, "w.pt"))
        self.assert_same(self.initialised(serializedFile="w.pt", modelFile="net.py"), net)

    def test_eager_weights_from_safetensors(self):
        from safetensors.torch import save_file

        net, state = self.weights()
        save_file(state, os.path.join(self.dir, "w.safetensors"))
        self.assert_same(self.initialised(serializedFile="w.safetensors", modelFile="net.py"), net)

    def test_torchscript(self):
        net, _ = self.weights()
        torch.jit.trace(net, torch.zeros(1, 2)).save(os.path.join(self.dir, "w.pt"))
        self.assert_same(self.initialised(serializedFile="w.pt"), net)

    def test_onnx(self):
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        net, state = self.weights()
        weight = numpy_helper.from_array(state["layer.weight"].numpy().T.copy(), "w")
        graph = helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])],
            [weight],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.save(model, os.path.join(self.dir, "w.onnx"))
        answer = self.initialised(serializedFile="w.onnx").handle([[1.0, 2.0]], self.context())
        numpy.testing.assert_allclose(answer, net(torch.tensor([[1.0, 2.0]])).detach(), rtol=1e-5)

    def test_a_pickle_that_would_run_code_is_refused_unrun(self):
        class Bomb:
            def __reduce__(self):
                return (os.mkdir, (os.path.join(target, "exploded"),))

        target = self.dir
        self.weights()
        torch.save({"layer.weight": Bomb()}, os.path.join(self.dir, "w.pt"))
        self.write("raw.pt", pickle.dumps(Bomb()))
        for name in ("w.pt", "raw.pt"):
            with self.assertRaises(Exception):
                self.initialised(serializedFile=name, modelFile="net.py")
        self.assertFalse(os.path.exists(os.path.join(target, "exploded")))

    def test_pickles_are_refused_on_an_old_torch(self):
        _, state = self.weights()
        torch.save(state, os.path.join(self.dir, "w.pt"))
        with mock.patch.object(torch, "__version__", "2.9.1"), self.assertRaisesRegex(RuntimeError, "2.10"):
            self.initialised(serializedFile="w.pt", modelFile="net.py")

    def test_a_model_file_needs_exactly_one_class(self):
        self.module("two", NET + "\nclass Other: pass\n")
        with self.assertRaisesRegex(ValueError, "Expected only one class as model definition"):
            self.initialised(modelFile="two.py")

    def test_missing_files_are_named(self):
        with self.assertRaisesRegex(RuntimeError, "Missing the model.py file"):
            self.initialised(modelFile="absent.py")
        for model in ({}, {"serializedFile": "w.bin"}):
            with self.assertRaisesRegex(RuntimeError, "No model weights could be loaded"):
                self.initialised(**model)

    def test_weights_are_optional_for_eager_models(self):
        self.module("net", NET)
        self.assertEqual(len(self.initialised(modelFile="net.py").handle([[1.0, 2.0]], self.context())[0]), 3)

    def test_compile_with_a_backend_says_so_in_the_log(self):
        self.module("net", NET)
        with self.assertLogs(level="INFO") as logs:
            handler = self.initialised(modelFile="net.py", config={"pt2": {"compile": {"enable": True, "backend": "eager"}}})
        self.assertTrue(any("Compiled model with backend eager" in line for line in logs.output))
        self.assertEqual(len(handler.handle([[1.0, 2.0]], self.context())), 1)

    def test_the_route_decides_what_handle_does(self):
        class Mine(type(self.handler())):
            def describe_handle(self):
                return "me"

            def get_insights(self, tensor, raw, target):
                return [[raw, target]]

            def preprocess(self, data):
                return data

        handler = Mine()
        self.assertEqual(handler.handle([{}], self.context(operation="describe")), ["me"])
        row = {"data": "x", "target": b"3"}
        self.assertEqual(handler.handle([row], self.context(operation="explain")), [["x", 3]])

    def test_tensors_are_answered_as_torch_saves_them(self):
        from davy_worker.results import encode_body

        tensor = torch.arange(3)
        self.assertTrue(torch.equal(torch.load(io.BytesIO(encode_body(tensor)), weights_only=True), tensor))


class Images(Case):
    def image(self, width, height, mode="RGB"):
        seed = numpy.random.default_rng(5)
        pixels = seed.integers(0, 256, (height, width, 3), dtype=numpy.uint8)
        return Image.fromarray(pixels).convert(mode)

    def png(self, *size):
        buffer = io.BytesIO()
        self.image(*size).save(buffer, "PNG")
        return buffer.getvalue()

    def classifier(self):
        from ts.torch_handler.image_classifier import ImageClassifier

        self.module("picture", PICTURE)
        self.write("index_to_name.json", json.dumps({str(i): f"class{i}" for i in range(7)}))
        handler = ImageClassifier()
        handler.initialize(self.context(modelFile="picture.py"))
        return handler

    def test_the_transform_has_torchvisions_numbers(self):
        from ts.torch_handler.image_transforms import imagenet

        # By hand, as torchvision documents its steps: short edge 256 (long edge truncated), central 224, scale, normalise.
        for width, height in ((300, 400), (401, 300), (256, 300), (100, 50)):
            image = self.image(width, height)
            if min(width, height) == 256:
                resized = image
            elif width <= height:
                resized = image.resize((256, int(256 * height / width)), Image.Resampling.BILINEAR)
            else:
                resized = image.resize((int(256 * width / height), 256), Image.Resampling.BILINEAR)
            pixels = numpy.asarray(resized, dtype=numpy.float32) / 255
            top, left = int(round((pixels.shape[0] - 224) / 2)), int(round((pixels.shape[1] - 224) / 2))
            cropped = pixels[top : top + 224, left : left + 224]
            mean, std = numpy.float32([0.485, 0.456, 0.406]), numpy.float32([0.229, 0.224, 0.225])
            expected = ((cropped - mean) / std).transpose(2, 0, 1)
            actual = imagenet()(image)
            self.assertEqual(tuple(actual.shape), (3, 224, 224))
            numpy.testing.assert_allclose(actual.numpy(), expected, atol=1e-6)

    def test_known_resize_and_crop_values(self):
        from ts.torch_handler.image_transforms import CenterCrop, Resize, ToTensor

        ramp = Image.fromarray(numpy.arange(64, dtype=numpy.uint8).reshape(8, 8) * 4)
        # torchvision 0.2x: Resize(4) then CenterCrop(2) of this ramp.
        self.assertEqual(ToTensor()(CenterCrop(2)(ramp)).mul(255).round().tolist(), [[[108.0, 112.0], [140.0, 144.0]]])
        self.assertEqual(Resize(4)(ramp).size, (4, 4))
        self.assertEqual(CenterCrop(10)(ramp).size, (10, 10))

    def test_the_classifier_takes_every_form_of_an_image(self):
        handler = self.classifier()
        png = self.png(300, 280)
        as_list = handler.preprocess([{"body": bytearray(png)}])[0].tolist()
        rows = [
            {"body": bytearray(png)},
            {"data": png},
            {"body": base64.b64encode(png).decode()},
            {"body": as_list},
            {"body": {"data": as_list}},
        ]
        answers = handler.handle(rows, self.context(5))
        for answer in answers:
            self.assertEqual(len(answer), 5)
            self.assertEqual(list(answer.values()), sorted(answer.values(), reverse=True))
            self.assertTrue(all(key.startswith("class") for key in answer))
            self.assertEqual(list(answer), list(answers[0]))
        handler.set_max_result_classes(2)
        self.assertEqual(len(handler.handle(rows[:1], self.context())[0]), 2)

    def test_grey_and_transparent_images_are_classified(self):
        handler = self.classifier()
        for mode in ("L", "RGBA", "P"):
            self.assertEqual(len(handler.handle([{"body": self.png(230, 260, mode)}], self.context())), 1)

    def test_explanations_have_the_shape_of_the_input(self):
        handler = self.classifier()
        row = {"body": self.png(230, 260), "target": b"2"}
        (explanation,) = handler.handle([row], self.context(operation="explain"))
        self.assertEqual((len(explanation), len(explanation[0]), len(explanation[0][0])), (3, 224, 224))

    def test_the_segmenter_gives_class_and_probability_of_every_pixel(self):
        from ts.torch_handler.image_segmenter import ImageSegmenter

        scores = torch.zeros(1, 3, 224, 224)
        scores[:, 2] = 5
        (answer,) = ImageSegmenter().postprocess(OrderedDict(out=scores))
        self.assertEqual((len(answer), len(answer[0]), len(answer[0][0])), (224, 224, 2))
        self.assertEqual(answer[7][9][0], 2.0)
        self.assertAlmostEqual(answer[7][9][1], float(torch.softmax(torch.tensor([0.0, 0, 5]), 0)[2]), 5)

    def test_the_detector_keeps_what_is_likely(self):
        from ts.torch_handler.object_detector import ObjectDetector

        handler = ObjectDetector()
        handler.device, handler.mapping = "cpu", {"1": "cat"}
        images = handler.preprocess([{"body": self.png(30, 20)}, {"body": self.png(10, 40)}])
        self.assertEqual([tuple(image.shape) for image in images], [(3, 20, 30), (3, 40, 10)])
        found = {
            "boxes": torch.tensor([[0.0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]),
            "labels": torch.tensor([1, 2, 1]),
            "scores": torch.tensor([0.75, 0.5, 0.25]),
        }
        self.assertEqual(
            handler.postprocess([found]),
            [[{"cat": [0.0, 1.0, 2.0, 3.0], "score": 0.75}, {"2": [4.0, 5.0, 6.0, 7.0], "score": 0.5}]],
        )

    def test_densenet_never_unpickles_a_body(self):
        from ts.torch_handler.densenet_handler import DenseNetHandler

        class Bomb:
            def __reduce__(self):
                return (os.mkdir, (target,))

        target = os.path.join(self.dir, "exploded")
        self.module("picture", PICTURE)
        handler = DenseNetHandler()
        handler.initialize(self.context(modelFile="picture.py"))
        buffer = io.BytesIO()
        torch.save(Bomb(), buffer)
        for body in (buffer.getvalue(), pickle.dumps(Bomb())):
            with self.assertRaises(Exception):
                handler.handle([{"body": bytearray(body)}], self.context())
        self.assertFalse(os.path.exists(target))
        self.assertEqual(len(handler.handle([{"body": self.png(230, 260)}], self.context())), 1)

    def test_pixel_limits_are_lifted_only_when_asked(self):
        from ts.torch_handler.image_classifier import ImageClassifier

        self.module("picture", PICTURE)
        with mock.patch.object(Image, "MAX_IMAGE_PIXELS", 1000):
            ImageClassifier().initialize(self.context(modelFile="picture.py"))
            self.assertEqual(Image.MAX_IMAGE_PIXELS, 1000)
            context = self.context(modelFile="picture.py")
            context.system_properties["limit_max_image_pixels"] = False
            ImageClassifier().initialize(context)
            self.assertIsNone(Image.MAX_IMAGE_PIXELS)


class Texts(Case):
    VOCABULARY = {"<unk>": 0, "it": 1, "is": 2, "good": 3, "it is": 4, "cafe": 5}

    def handler(self, vocabulary=None, **model):
        from ts.torch_handler.text_classifier import TextClassifier

        torch.manual_seed(1)
        self.module("text", TEXT)
        if vocabulary is not None:
            torch.save(vocabulary, os.path.join(self.dir, "source_vocab.pt"))
        self.write("index_to_name.json", json.dumps({"0": "bad", "1": "good"}))
        handler = TextClassifier()
        handler.initialize(self.context(modelFile="text.py", **model))
        return handler

    def test_text_is_cleaned_and_looked_up(self):
        handler = self.handler(self.VOCABULARY)
        indexes, words = handler.preprocess([{"data": "<b>It's</b> GOOD, café!".encode()}])
        self.assertEqual(words, ["it", "is", "good", "cafe"])
        self.assertEqual(indexes.tolist(), [1, 2, 3, 5, 4, 0, 0])

    def test_all_classes_are_answered_for_the_first_request(self):
        handler = self.handler(self.VOCABULARY)
        (answer,) = handler.handle([{"body": "it is good"}, {"body": "x"}], self.context(2))
        self.assertEqual(sorted(answer), ["bad", "good"])
        self.assertAlmostEqual(sum(answer.values()), 1, 5)

    def test_words_are_explained(self):
        handler = self.handler(self.VOCABULARY)
        (answer,) = handler.handle([{"body": "it is good"}], self.context(operation="explain"))
        self.assertEqual(answer["words"], ["it", "is", "good"])
        self.assertEqual(len(answer["importances"]), 3)

    def test_vocabularies_come_in_safe_forms(self):
        from ts.torch_handler.vocabulary import load_vocabulary

        tokens = ["<unk>", "a", "b"]
        for name, content in (
            ("v.json", json.dumps(tokens)),
            ("v2.json", json.dumps({"<unk>": 0, "a": 1, "b": 2})),
            ("v.txt", "<unk>\na\nb\n"),
        ):
            vocabulary = load_vocabulary(self.write(name, content))
            self.assertEqual(vocabulary(["b", "zzz", "a"]), [2, 0, 1])
        for content in (tokens, OrderedDict((t, i) for i, t in enumerate(tokens)), {"stoi": {"<unk>": 0, "a": 1, "b": 2}}):
            path = os.path.join(self.dir, "v.pt")
            torch.save(content, path)
            self.assertEqual(load_vocabulary(path)(["b", "zzz"]), [2, 0])

    def test_a_pickled_object_is_no_vocabulary(self):
        target = os.path.join(self.dir, "exploded")

        class Bomb:
            def __reduce__(self):
                return (os.mkdir, (target,))

        with self.assertRaisesRegex(RuntimeError, "get_stoi"):
            self.handler(Bomb())
        self.assertFalse(os.path.exists(target))

    def test_the_manifest_may_name_the_vocabulary(self):
        self.write("words.json", json.dumps(self.VOCABULARY))
        self.assertEqual(self.handler(sourceVocab="words.json").source_vocab["good"], 3)


class Kserve2(Case):
    CODE = "def handle(d, c):\n    return None if d is None else [x if isinstance(x, str) else x * 2 for x in d]"

    def test_tensors_go_in_and_out(self):
        tensors = [
            {"name": "a", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]},
            {"name": "b", "shape": [2], "datatype": "INT64", "data": [5, 6]},
            {"name": "c", "shape": [1], "datatype": "BYTES", "data": ["text"]},
        ]
        with harness.Worker({"h.py": self.CODE}) as worker:
            worker.load("h.py", envelope="kservev2", manifest={"model": {"modelVersion": "2.0"}})
            body = json.dumps({"id": "q", "inputs": tensors})
            (answer,) = worker.run({"p": [("body", "application/json", body)]}).json
            self.assertEqual(
                answer,
                {
                    "id": "q",
                    "model_name": "m",
                    "model_version": "2.0",
                    "outputs": [
                        {"name": "a", "datatype": "FP32", "data": [2.0, 4.0, 6.0, 8.0], "shape": [4]},
                        {"name": "b", "datatype": "INT64", "data": [10, 12], "shape": [2]},
                        {"name": "c", "datatype": "BYTES", "data": ["text"], "shape": [1]},
                    ],
                },
            )
            body = json.dumps({"inputs": tensors[:1]})
            (answer,) = worker.run({"p": [("body", None, body)]}).json
            self.assertEqual(answer["id"], "r0")


class InAWorker(Case):
    def test_torch_gets_its_threads_and_is_not_imported_without_need(self):
        code = "import sys\ndef handle(d, c):\n    return None if d is None else ['torch' in sys.modules, 'numpy' in sys.modules]"
        with harness.Worker({"h.py": code}) as worker:
            worker.load("h.py", threads=2)
            self.assertEqual(worker.run(b"", b"").json, [False, False])
        code = "import torch\ndef handle(d, c):\n    return None if d is None else [torch.get_num_threads()]"
        with harness.Worker({"h.py": code, "torch.py": "raise SystemExit(9)"}) as worker:
            worker.load("h.py", threads=2)
            self.assertEqual(worker.run(b"").json, [2])

    def test_frameworks_are_imported_early_for_the_parts_of_ts_that_run_them(self):
        wanted = {
            "from ts.metrics.dimension import Dimension": [],
            "from ts.handler_utils.utils import send_intermediate_predict_response": [],
            "from ts.service import PredictionException\nimport numpy": ["numpy"],
            "from ts.torch_handler.base_handler import BaseHandler": list(frameworks.BUILTIN),
            "from ts.handler_utils import micro_batching": list(frameworks.BUILTIN),
            "import ts": list(frameworks.BUILTIN),
        }
        for code, names in wanted.items():
            with tempfile.TemporaryDirectory() as folder, mock.patch.object(frameworks.importlib, "import_module") as early:
                pathlib.Path(folder, "h.py").write_text(code)
                frameworks.import_early("h.py", folder)
                self.assertEqual([call.args[0] for call in early.call_args_list], names, code)

    def test_no_archive_code_runs_ahead_of_the_cage(self):
        # torch imports opt_einsum if it can: an archive must not be where it finds it.
        files = {"opt_einsum.py": "print('PLANTED')", "h.py": "import torch\ndef handle(d, c): pass"}
        for cage, planted in (({"landlock": {"minAbi": 10_000}}, False), (None, True)):
            with harness.Worker(files) as worker:
                answer = worker.load("h.py", cage=cage)
                self.assertEqual(answer["t"], "loaded" if planted else "failed")
                self.assertEqual("PLANTED" in worker.logged(), planted)

    def test_a_built_in_handler_serves_without_any_handler_file(self):
        picture = self.module("picture", PICTURE)()
        torch.save(picture.state_dict(), os.path.join(self.dir, "w.pt"))
        buffer = io.BytesIO()
        Image.new("RGB", (240, 260), (200, 10, 30)).save(buffer, "JPEG")
        with open(os.path.join(self.dir, "w.pt"), "rb") as file:
            files = {"picture.py": PICTURE, "w.pt": file.read()}
        with harness.Worker(files) as worker:
            manifest = {"model": {"serializedFile": "w.pt", "modelFile": "picture.py"}}
            self.assertEqual(worker.load("image_classifier", manifest=manifest), {"t": "loaded"})
            outcome = worker.run(buffer.getvalue())
            self.assertEqual(len(outcome.json[0]), 5)
            self.assertEqual([record["n"] for record in outcome.metrics], ["HandlerTime"])
            self.assertEqual(worker.run(b"not an image").fault, (503, "Prediction failed"))


if __name__ == "__main__":
    unittest.main()
