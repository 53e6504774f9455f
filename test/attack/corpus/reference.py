"""Answers from the real thing: reference.py globals | load FILE... | asked FILE (length-prefixed pickles) | same [[CHECKPOINT, SAFETENSORS]...] | compiled [SOURCE...]."""

import _compat_pickle
import io
import json
import pickle
import struct
import sys
import warnings

warnings.filterwarnings("ignore")


def allowed_globals():
    import torch._weights_only_unpickler as weights_only

    return sorted(weights_only._get_allowed_globals())


def load(paths):
    """Which files torch.load(weights_only=True) refuses, with the first line of its reason."""
    import torch

    failures = {}
    for path in paths:
        try:
            torch.load(path, weights_only=True, map_location="cpu")
        except Exception as error:
            failures[path] = str(error).splitlines()[0]
    return failures


def tensors_of(value, path=""):
    import torch

    if isinstance(value, torch.Tensor):
        yield path, value
    elif isinstance(value, (dict, list, tuple)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from tensors_of(item, f"{path}.{key}" if path else str(key))


def different(pairs):
    """Which conversions do not hold the same names, shapes, types and bits as their checkpoints."""
    import safetensors.torch
    import torch

    def bits(tensor):
        return tensor.detach().contiguous().flatten().view(torch.uint8).tolist()

    wrong = []
    for checkpoint, converted in pairs:
        expected = dict(tensors_of(torch.load(checkpoint, weights_only=True)))
        actual = safetensors.torch.load_file(converted)
        if set(expected) != set(actual) or any(
            actual[name].shape != tensor.shape or actual[name].dtype != tensor.dtype or bits(actual[name]) != bits(tensor)
            for name, tensor in expected.items()
        ):
            wrong.append(checkpoint)
    return wrong


def compiled(sources):
    """For each body of a forward method: the operators on files in what torch compiles of it, or null where it compiles nothing. None is run."""
    import zipfile

    import torch

    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), buffer)
    with zipfile.ZipFile(buffer) as archive:
        base = {name: archive.read(name) for name in archive.namelist()}
    code = next(name for name in base if name.endswith("activation.py"))
    head = base[code].decode().split(") -> Tensor:\n")[0]
    answers = []
    for source in sources:
        changed = io.BytesIO()
        with zipfile.ZipFile(changed, "w") as archive:
            for name, data in base.items():
                archive.writestr(name, f"{head}) -> Tensor:\n{source}" if name == code else data)
        changed.seek(0)
        try:
            graph = torch.jit.load(changed).graph
            answers.append([kind for kind in ("aten::from_file", "aten::save") if graph.findAllNodes(kind)])
        except Exception:
            answers.append(None)
    return answers


class Anything:
    """Stands for every global a stream asks for: callable, buildable, fillable, and inert."""

    def __init__(self, *args, **kwargs):
        pass

    def __call__(self, *args, **kwargs):
        return Anything()

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass

    def append(self, item):
        pass

    def extend(self, items):
        pass

    def add(self, item):
        pass


class _Recording:
    def persistent_load(self, key):
        return Anything()

    def find_class(self, module, name):
        # What CPython would really import: names of Python 2 mean their successors below protocol 3.
        if (module, name) in _compat_pickle.NAME_MAPPING:
            module, name = _compat_pickle.NAME_MAPPING[(module, name)]
        elif module in _compat_pickle.IMPORT_MAPPING:
            module = _compat_pickle.IMPORT_MAPPING[module]
        self.asked.add(f"{module}.{name}")
        return Anything


class RecordingC(_Recording, pickle.Unpickler):
    pass


class RecordingPython(_Recording, pickle._Unpickler):
    pass


def globals_asked(path):
    """Every global that either of CPython's unpicklers asks for, over all streams of the file; nothing is imported."""
    asked = set()
    streams = 0
    completed = 0
    with open(path, "rb") as file:
        while header := file.read(4):
            data = file.read(struct.unpack("<I", header)[0])
            streams += 1
            for unpickler_class in (RecordingC, RecordingPython):
                unpickler = unpickler_class(io.BytesIO(data))
                unpickler.asked = asked
                try:
                    unpickler.load()
                    completed += 1
                except Exception:
                    pass
    return {"asked": sorted(asked), "streams": streams, "completed": completed}


command, *arguments = sys.argv[1:]
if command == "globals":
    answer = allowed_globals()
elif command == "load":
    answer = load(json.load(sys.stdin))
elif command == "compiled":
    answer = compiled(json.load(sys.stdin))
elif command == "same":
    answer = different(json.load(sys.stdin))
else:
    answer = globals_asked(arguments[0])
print(json.dumps(answer))
