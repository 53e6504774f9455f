"""Module search order: archive files are importable, but never in place of what the worker relies on.

TorchServe puts the model directory first on PYTHONPATH, so handlers import their siblings by plain name.
The same order holds here, except that the names below always come from the interpreter's own
installation: a ``json.py`` or ``torch.py`` in an archive must not become everybody's json or torch.
"""

from __future__ import annotations

import logging
import os
import sys
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from typing import Any

logger = logging.getLogger(__name__)

FRAMEWORKS = frozenset(
    (
        "captum",
        "jinja2",
        "markupsafe",
        "mpmath",
        "networkx",
        "numpy",
        "onnx",
        "onnxruntime",
        "PIL",
        "safetensors",
        "scipy",
        "sympy",
        "torch",
        "torchgen",
        "torchvision",
        "transformers",
        "triton",
        "typing_extensions",
        "yaml",
    )
)
RESERVED = FRAMEWORKS | sys.stdlib_module_names | {"ts", "davy_worker", "sitecustomize", "usercustomize"}


def add_operator_paths() -> None:
    """Adds PYTHONPATH, which ``-I`` ignored: it is there only when the operator lets it through to workers."""
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path += [os.path.abspath(entry) for entry in named if entry]


def open_archive(model_dir: str, packages: str | None = None) -> None:
    """Puts the model directory, then packages of its own, first on the search path, behind the reserved names.

    Until this call nothing in the archive can be imported, not even by a framework's optional imports.
    """
    trusted = list(sys.path)
    sys.meta_path.insert(0, _ReservedFinder(trusted))
    sys.path_hooks.insert(0, _archive_hook(model_dir))
    sys.path[:] = [model_dir, *([packages] if packages else []), *trusted]
    sys.path_importer_cache.clear()
    _tell_hidden_modules(model_dir)


def _tell_hidden_modules(model_dir: str) -> None:
    """TorchServe would import these; here a user needs to know why their module is not the one they get."""
    with os.scandir(model_dir) as entries:
        names = {entry.name.removesuffix(".py") for entry in entries if entry.is_dir() or entry.name.endswith(".py")}
    for name in sorted(names & RESERVED):
        logger.warning("`import %s` gives the module of Python or of the framework, not the archive's: rename that", name)


class _ReservedFinder:
    """Finds reserved top-level names on the trusted path first; an absent one may still come from the archive."""

    def __init__(self, trusted: list[str]) -> None:
        self._trusted = trusted

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if path is not None or name not in RESERVED:
            return None
        return PathFinder.find_spec(name, self._trusted)


class _SourceLoader(SourceFileLoader):
    """Compiles the source every time: byte code in an archive's __pycache__ could differ from what was vetted."""

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _archive_hook(model_dir: str) -> Any:
    root = os.path.realpath(model_dir)
    loaders = (
        (ExtensionFileLoader, EXTENSION_SUFFIXES),
        (_SourceLoader, [".py"]),
        (SourcelessFileLoader, [".pyc"]),
    )

    def hook(path: str) -> FileFinder:
        real = os.path.realpath(path)
        if real != root and not real.startswith(root + os.sep):
            raise ImportError("not in the archive")
        if not os.path.isdir(real):
            raise ImportError("only directories are supported")
        return FileFinder(path, *loaders)

    return hook
