"""Writes files that real tools make and that must be allowed: benign.py OUTPUT_DIRECTORY [PART...]."""

import collections
import io
import json
import pickle
import struct
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import onnx
import safetensors.numpy
import safetensors.torch
import torch
from onnx import TensorProto, helper, numpy_helper

warnings.filterwarnings("ignore")
OUT = Path(sys.argv[1])


def at(name):
    path = OUT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def both(name, value, **options):
    """The zip format and the legacy one."""
    torch.save(value, at(f"torch/{name}.pt"), **options)
    torch.save(value, at(f"legacy/{name}.pt"), _use_new_zipfile_serialization=False, **options)


def torch_values():
    plain = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex128 complex64".split()
    new = "uint16 uint32 uint64 float8_e5m2 float8_e4m3fn float8_e5m2fnuz float8_e4m3fnuz float8_e8m0fnu".split()
    for name in plain + new:
        dtype = getattr(torch, name)
        both(f"dtype-{name}", {"x": torch.ones(3, 4).to(dtype), "scalar": torch.ones(()).to(dtype), "empty": torch.empty(0, dtype=dtype)})
    yield "complex32", {"x": torch.zeros(2, dtype=torch.complex32)}
    yield "bits8", {"x": torch.zeros(4, dtype=torch.uint8).view(torch.bits8)}
    yield "float4", {"x": torch.zeros(4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)}
    base = torch.arange(24.0).reshape(4, 6)
    yield "views", {"whole": base, "row": base[1], "t": base.t(), "step": base[::2, 1::2], "wide": base[0].expand(5, 6)}
    yield "conj-neg", {"c": torch.ones(2, dtype=torch.complex64).conj(), "n": torch.ones(2, dtype=torch.complex64).conj().imag}
    yield "grad", {"x": torch.randn(2, requires_grad=True)}
    yield "parameter", torch.nn.Parameter(torch.randn(2))
    extra = torch.randn(2)
    extra.note, extra.scale = "calibrated", 3
    yield "attributes", {"x": extra}
    parameter = torch.nn.Parameter(torch.randn(2))
    parameter.tag = "sharded"
    yield "parameter-attributes", {"p": parameter}
    yield "meta", {"m": torch.empty(3, device="meta")}
    yield "storage", {"s": torch.arange(4.0).storage(), "u": torch.arange(4).untyped_storage()}
    yield "nested", {"n": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])}
    yield "values", {
        "size": torch.Size([1, 2]), "device": torch.device("cuda", 0), "cpu": torch.device("cpu"), "dtype": torch.float32,
        "layout": torch.strided, "counter": collections.Counter("aab"), "ordered": collections.OrderedDict(a=1),
        "none": None, "true": True, "float": 1.5, "complex": 1 + 2j, "bytes": b"\x00\xff", "no bytes?": "é\u4e00",
        "array": bytearray(b"ab"), "set": {1, 2}, "tuple": (1, (2, (3, 4, 5, 6))), "big": 1 << 200, "negative": -(1 << 70),
        "int": -5, "small": 300, "inf": float("inf"), "qscheme": torch.per_tensor_affine,
    }
    dense = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    yield "sparse-coo", {"s": dense.to_sparse(), "uncoalesced": torch.sparse_coo_tensor([[0, 0]], [1.0, 2.0], (2,))}
    yield "sparse-hybrid", {"s": torch.sparse_coo_tensor([[0, 2]], [[1.0, 2.0], [3.0, 4.0]], (3, 2)), "empty": torch.sparse_coo_tensor(size=(3, 4))}
    yield "sparse-batched", {"s": torch.stack([dense, dense]).to_sparse_csr(), "b": torch.ones(2, 4, 6).to_sparse_bsr((2, 3)), "c": torch.ones(4, 6).to_sparse_bsc((2, 3))}
    yield "sparse-int32", {"s": torch.sparse_csr_tensor(torch.tensor([0, 1, 2], dtype=torch.int32), torch.tensor([1, 0], dtype=torch.int32), torch.ones(2), (2, 2))}
    yield "sparse-csr", {"s": dense.to_sparse_csr()}
    yield "sparse-csc", {"s": dense.to_sparse_csc()}
    yield "sparse-bsr", {"s": dense.to_sparse_bsr((1, 1))}
    yield "sparse-bsc", {"s": dense.to_sparse_bsc((1, 1))}
    x = torch.randn(4, 4)
    for name in ("quint8", "qint8", "qint32"):
        yield f"quantized-{name}", {"q": torch.quantize_per_tensor(x, 0.1, 2, getattr(torch, name))}
    zeros, scales = torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.float64)
    yield "quantized-channels", {"q": torch.quantize_per_channel(x, scales, zeros, 0, torch.qint8)}
    yield "quantized-4bit", {"q": torch.quantize_per_channel(x, scales.float(), zeros.float(), 0, torch.quint4x2)}
    modules = {
        "mlp": torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(4, 2)),
        "conv": torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ConvTranspose2d(4, 2, 2)),
        "lstm": torch.nn.LSTM(3, 4, 2, bidirectional=True),
        "transformer": torch.nn.Transformer(8, 2, 1, 1, 16),
        "embedding": torch.nn.ModuleDict({"e": torch.nn.EmbeddingBag(5, 3), "norm": torch.nn.LayerNorm(3)}),
    }
    for name, module in modules.items():
        yield f"module-{name}", module.state_dict()
        yield f"module-{name}-half", module.half().state_dict()
        module.float()
    model = modules["mlp"]
    for make in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad, torch.optim.LBFGS):
        options = {"momentum": 0.9} if make is torch.optim.SGD else {}
        optimizer = make(model.parameters(), lr=0.01, **options)

        def closure():
            optimizer.zero_grad()
            loss = model(torch.randn(2, 3)).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
        checkpoint = {"epoch": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
        yield f"training-{make.__name__}", checkpoint


def torch_files():
    for name, value in torch_values():
        try:
            both(name, value)
        except Exception as error:  # some kinds only exist in one of the formats
            print(f"skipped {name}: {error}", file=sys.stderr)
            for folder in ("torch", "legacy"):
                path = OUT / folder / f"{name}.pt"
                if folder == "legacy" or path.stat().st_size == 0:
                    path.unlink(missing_ok=True)
    state = torch.nn.Linear(2, 2).state_dict()
    for protocol in (3, 4, 5):
        both(f"protocol-{protocol}", state, pickle_protocol=protocol)
    for extension in ("pth", "bin", "ckpt", "dat"):
        torch.save(state, at(f"torch/extension.{extension}"))
    torch.save(state, at("torch/renamed-root.pt"))
    torch.save({f"layer.{i}": torch.zeros(1) for i in range(3000)}, at("torch/many.pt"))


def scripts():
    class Loop(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = torch.nn.Linear(3, 3)
            self.names = ["a", "b"]
            self.table = {"k": 1}

        def forward(self, x: torch.Tensor, n: int = 2) -> torch.Tensor:
            for i in range(n):
                if x.sum() > 0:
                    x = self.lin(x)
            print(len(self.names), self.table["k"])
            return x

    class Names(torch.nn.Module):
        """Names that mean something to the inspection, where they mean nothing to torch."""

        def __init__(self):
            super().__init__()
            self.ops = torch.nn.ModuleList([torch.nn.Linear(2, 2)])
            self.load = torch.nn.Linear(2, 2)

        @torch.jit.export
        def from_file(self, ops: torch.Tensor):
            return ops + 1

        def forward(self, ops: torch.Tensor, classes: torch.Tensor):
            if bool(ops.sum() > 1e9):
                raise ValueError("torch ops 'evil' \" # torch.save(x), see ops.evil.run")
            for op in self.ops:
                classes = op(classes)
            f = torch.jit.fork(torch.relu, self.load(self.from_file(ops)))
            return torch.jit.wait(f), "torch", classes.dtype, torch.contiguous_format

    torch.jit.save(torch.jit.script(Names()), at("script/names.pt"))
    torch.jit.script(torch.nn.Linear(2, 3))._save_for_lite_interpreter(str(at("script/lite.ptl")))
    torch.jit.save(torch.jit.script(Loop()), at("script/loop.pt"))
    torch.jit.save(torch.jit.trace(torch.nn.Conv2d(1, 2, 3), torch.randn(1, 1, 5, 5)), at("script/traced.pt"))
    torch.jit.save(torch.jit.script(torch.nn.LSTM(2, 3)), at("script/lstm.pt"))
    torch.jit.script(torch.nn.Linear(2, 3))._save_for_lite_interpreter(str(at("script/lite.ptl.pt")))
    torch.jit.save(torch.jit.freeze(torch.jit.script(torch.nn.Linear(2, 3).eval())), at("script/frozen.pt"), _extra_files={"info.json": "{}"})
    try:
        torch.backends.quantized.engine = "fbgemm"
        quantized = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(torch.nn.Linear(3, 4)), {torch.nn.Linear})
        torch.jit.save(torch.jit.script(quantized), at("script/quantized.pt"))
    except Exception as error:
        print(f"skipped quantized script: {error}", file=sys.stderr)


def pickles():
    value = {
        "weights": [[0.5, -1.25, 3e300], [1, 2, -3]], "name": "model\nline", "unicode": "é\u2028\U0001f600", "t": (1, 2, 3, 4), "none": None,
        "flags": [True, False], "big": [1 << 40, -(1 << 90)], "bytes": b"\x00abc\xff", "array": bytearray(b"xyz"), "set": {1, 2},
        "frozen": frozenset({3}), "complex": 2j, "ordered": collections.OrderedDict([("z", 1), ("a", 2)]), "count": collections.Counter("xyx"),
        1: "int key", (1, "a"): "tuple key", "empty": [[], {}, ()],
    }
    shared = ["same"]
    cyclic = {"self": [shared, shared]}
    cyclic["self"].append(cyclic)
    for protocol in range(6):
        at(f"pickle/values-{protocol}.pkl").write_bytes(pickle.dumps(value, protocol))
        at(f"pickle/cyclic-{protocol}.pickle").write_bytes(pickle.dumps(cyclic, protocol))
        at(f"pickle/python-{protocol}.pkl").write_bytes(pickle._dumps(value, protocol))
        at(f"pickle/large-{protocol}.bin").write_bytes(pickle.dumps({"vocab": {f"token{i}": i for i in range(20000)}}, protocol))
    at("pickle/long-bytes.pkl").write_bytes(pickle.dumps({"blob": bytes(3 << 20)}, 4))


def arrays():
    names = "? b B h H i I q Q e f d g F D G M8[ns] m8[s] S5 U7 V3".split()
    for name in names:
        for order in "<>" if len(name) == 1 and name not in "?bB" else "=":
            array = np.zeros((2, 3), dtype=np.dtype(name).newbyteorder(order))
            np.save(at(f"numpy/{name.replace('[', '').replace(']', '').replace('?', 'bool')}-{'big' if order == '>' else 'little'}{'-upper' if name.isupper() else ''}.npy"), array)
    np.save(at("numpy/scalar.npy"), np.float32(3))
    np.save(at("numpy/fortran.npy"), np.asfortranarray(np.ones((2, 3))))
    np.save(at("numpy/empty.npy"), np.ones((0, 3)))
    np.save(at("numpy/fields.npy"), np.zeros(3, dtype=[("a", "<f4"), ("b", "<i2", (2, 3)), ("c", [("d", "S4"), ("e", "?")])]))
    np.save(at("numpy/titles.npy"), np.zeros(2, dtype=[(("title", "a"), "<f4"), ("b", "<f8")]))
    np.savez(at("numpy/plain.npz"), a=np.ones(3), b=np.zeros((2, 2), dtype=np.int8))
    np.savez_compressed(at("numpy/compressed.npz"), a=np.ones(3000), b=np.arange(5))


def safe():
    names = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool uint16 uint32 uint64 float8_e5m2 float8_e4m3fn complex64".split()
    for name in names:
        try:
            safetensors.torch.save_file({"x": torch.ones(3, 5).to(getattr(torch, name))}, at(f"safetensors/{name}.safetensors"))
        except Exception as error:
            print(f"skipped safetensors {name}: {error}", file=sys.stderr)
    several = {"b": torch.ones(3, dtype=torch.int8), "a": torch.ones(2, 2), "__proto__": torch.ones(1), "é": torch.ones(1), "none": torch.ones(0, 4), "scalar": torch.ones(())}
    safetensors.torch.save_file(several, at("safetensors/several.safetensors"), metadata={"format": "pt", "note": 'a "quoted" \\ note'})
    at("safetensors/empty.safetensors").write_bytes(struct.pack("<Q", 8) + b"{}      ")


def graph(nodes, inits=(), **options):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return helper.make_graph(nodes, "g", [x], [y], list(inits), **options)


def model(g, **options):
    opsets = options.pop("opsets", [helper.make_opsetid("", 18)])
    return helper.make_model(g, opset_imports=opsets, **options)


def networks():
    at("onnx/.").mkdir(parents=True, exist_ok=True)
    init = numpy_helper.from_array(np.ones((2, 2), np.float32), "w")
    plain = model(graph([helper.make_node("MatMul", ["x", "w"], ["y"])], [init]))
    onnx.save(plain, at("onnx/plain.onnx"))
    every = []
    for name, number in TensorProto.DataType.items():
        if number in (0, 8, 14, 15) or number >= 17:
            continue
        every.append(numpy_helper.from_array(np.ones((3,), helper.tensor_dtype_to_np_dtype(number)), name))
    every += [helper.make_tensor("f", TensorProto.FLOAT, [3], [1, 2, 3]), helper.make_tensor("i", TensorProto.INT64, [2], [1, -2]),
              helper.make_tensor("d", TensorProto.DOUBLE, [1], [2.0]), helper.make_tensor("s", TensorProto.STRING, [2], [b"a", b"b"]),
              helper.make_tensor("b", TensorProto.BFLOAT16, [2], [1, 2]), helper.make_tensor("i4", TensorProto.INT4, [3], [1, 2, 3]),
              helper.make_tensor("u", TensorProto.UINT64, [1], [1 << 63]), helper.make_tensor("f8", TensorProto.FLOAT8E4M3FN, [2], [1, 2])]
    onnx.save(model(graph([helper.make_node("Identity", ["x"], ["y"])], every)), at("onnx/types.onnx"))
    branch = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "b", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)])
    condition = numpy_helper.from_array(np.array(True), "c")
    onnx.save(model(graph([helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)], [condition])), at("onnx/branches.onnx"))
    sparse = helper.make_sparse_tensor(helper.make_tensor("sp", TensorProto.FLOAT, [1], [1.0]), helper.make_tensor("si", TensorProto.INT64, [1], [2]), [4])
    onnx.save(model(graph([helper.make_node("Identity", ["x"], ["y"])], sparse_initializer=[sparse])), at("onnx/sparse.onnx"))
    twice = helper.make_function("my.domain", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 18)])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("my.domain", 1)]
    onnx.save(model(graph([helper.make_node("Twice", ["x"], ["y"], domain="my.domain")]), functions=[twice], opsets=opsets), at("onnx/function.onnx"))
    scaler = helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[0.0], scale=[1.0])
    onnx.save(model(graph([scaler]), opsets=[helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]), at("onnx/ml.onnx"))
    big = numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    onnx.save(model(graph([helper.make_node("Identity", ["x"], ["y"])], [big])), at("onnx/external.onnx"), save_as_external_data=True, location="external.onnx.data", size_threshold=16)
    try:
        torch.onnx.export(torch.nn.Linear(2, 3), (torch.randn(1, 2),), str(at("onnx/exported.onnx")), dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "n"}})
    except Exception as error:
        print(f"skipped torch.onnx.export: {error}", file=sys.stderr)


def gguf():
    def text(value):
        data = value.encode()
        return struct.pack("<Q", len(data)) + data

    def entry(key, kind, payload):
        return text(key) + struct.pack("<I", kind) + payload

    entries = [entry("general.architecture", 8, text("llama")), entry("general.alignment", 4, struct.pack("<I", 64)),
               entry("tokenizer.chat_template", 8, text("{{ bos_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}")),
               entry("tokens", 9, struct.pack("<IQ", 8, 3) + text("a") + text("b") + text("")),
               entry("nested", 9, struct.pack("<IQ", 9, 2) + (struct.pack("<IQ", 5, 2) + struct.pack("<ii", 1, 2)) * 2)]
    scalars = "B b H h I i f ?".split()
    for number, code in enumerate(scalars):
        entries.append(entry(f"scalar.{number}", number, struct.pack(f"<{code}", 1)))
    for number, code in ((10, "Q"), (11, "q"), (12, "d")):
        entries.append(entry(f"scalar.{number}", number, struct.pack(f"<{code}", 1)))
    tensors = text("w") + struct.pack("<IQQIQ", 2, 4, 2, 0, 0) + text("q") + struct.pack("<IQIQ", 1, 64, 8, 64)
    head = b"GGUF" + struct.pack("<IQQ", 3, 2, len(entries)) + b"".join(entries) + tensors
    data = bytes(32).ljust(64, b"\0") + bytes(68)
    at("gguf/model.gguf").write_bytes(head.ljust(-(-len(head) // 64) * 64, b"\0") + data)


def side_files():
    at("side/index_to_name.json").write_text(json.dumps({"0": ["n01", "tench"]}))
    at("side/labels.txt").write_text("cat\ndog\nbird\ni\nPersian\n")
    at("side/inst.txt").write_text("in the\nend\n(it\ndoes not\nmatter.\n")
    at("side/vocab.txt").write_text("[PAD]\nc\nos\nsystem\nthe\n")
    at("side/handler.py").write_text("import os, json\nfrom ts.torch_handler.base_handler import BaseHandler\n\nclass Handler(BaseHandler):\n    pass\n")
    at("side/requirements.txt").write_text("numpy==2.0.0 --hash=sha256:" + "0" * 64 + "\n")
    at("side/tokenizer.model").write_bytes(b"\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\x00\x18\x02")
    at("side/tokenizer_config.json").write_text(json.dumps({"chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"}))
    at("side/picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    at("side/empty").write_bytes(b"")


def archives():
    state = io.BytesIO()
    torch.save(torch.nn.Linear(2, 2).state_dict(), state)
    for name, method in (("deflated", zipfile.ZIP_DEFLATED), ("stored", zipfile.ZIP_STORED)):
        with zipfile.ZipFile(at(f"mar/{name}.mar"), "w", method) as z:
            z.writestr("MAR-INF/MANIFEST.json", json.dumps({"createdOn": "01/01/2024 00:00:00", "runtime": "python", "archiverVersion": "0.12.0", "model": {"modelName": "m", "serializedFile": "model.pt", "handler": "handler.py", "modelVersion": "1.0"}}))
            z.writestr("model.pt", state.getvalue())
            z.writestr("handler.py", "def handle(data, context):\n    return data\n")


PARTS = (torch_files, scripts, pickles, arrays, safe, networks, gguf, side_files, archives)
for part in PARTS:
    if len(sys.argv) == 2 or part.__name__ in sys.argv[2:]:
        part()
print(sum(1 for path in OUT.rglob("*") if path.is_file()))
