"""Finds what a model's `handler` names: a function, or a class with `handle` (surface spec 9.1)."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from types import ModuleType
from typing import Any, Callable

from davy_worker.imports import RESERVED
from ts.utils.util import list_classes_from_module

DEFAULT_HANDLER = "base_handler"
ENVELOPES = ("body", "json", "kserve", "kservev2")

Handle = Callable[[Any, Any], Any]


class EntryPoint:
    """A handler in one of the two modes of surface spec 9.1: a function, or an instance with `handle`."""

    def __init__(self, function: Handle | None, instance: Any, envelope: type | None) -> None:
        self._function = function
        self._instance = instance
        self._envelope = envelope

    def load(self, context: Any) -> Handle:
        """Initialises the handler and gives what to call for each batch.

        Class mode: `initialize(context)`, which may replace `self.handle`. Function mode: one call with no data.
        """
        if self._instance is not None:
            initialize = getattr(self._instance, "initialize", None)
            if initialize is not None:
                initialize(context)
            return self._enveloped(self._instance.handle)
        handle = self._enveloped(self._function)
        handle(None, context)
        return handle

    def _enveloped(self, handle: Any) -> Handle:
        return handle if self._envelope is None else self._envelope(handle).handle


def find_entry_point(handler: str | None, model_dir: str, envelope: str | None) -> EntryPoint:
    """Imports the handler; raises whatever the import or the class raises."""
    name, _, function = (handler or DEFAULT_HANDLER).partition(":")
    _open_folder_of(name, model_dir)
    module = _import_handler(name, model_dir)
    wrapper = _envelope_class(envelope) if envelope else None
    found = getattr(module, function or "handle", None)
    if found is not None:
        return EntryPoint(found, None, wrapper)
    return EntryPoint(None, _only_instance(module), wrapper)


def handler_module_name(handler: str) -> str:
    """`dir/name.py` and `name` both mean the module `name`."""
    base = os.path.basename(handler)
    return base[:-3] if base.endswith(".py") else base


def _open_folder_of(handler: str, model_dir: str) -> None:
    """`dir/name.py` that lies in that folder of the archive is imported from there, and so is what lies beside it."""
    root = os.path.realpath(model_dir)
    folder = os.path.realpath(os.path.join(root, os.path.dirname(handler)))
    if folder.startswith(root + os.sep) and os.path.isfile(os.path.join(folder, f"{handler_module_name(handler)}.py")):
        sys.path.insert(0, folder)


def _import_handler(handler: str, model_dir: str) -> ModuleType:
    name = handler_module_name(handler)
    if name in RESERVED:
        for folder in (os.path.dirname(handler), ""):
            path = os.path.join(model_dir, folder, f"{name}.py")
            if os.path.isfile(path):
                return _import_aside(name, path)
    elif importlib.util.find_spec(name) is not None:
        # An error inside the handler is the user's to see; TorchServe hid it behind the built-in's name.
        return importlib.import_module(name)
    builtin = f"ts.torch_handler.{name}"
    if name.isidentifier() and importlib.util.find_spec(builtin) is not None:
        return importlib.import_module(builtin)
    raise ModuleNotFoundError(
        f"handler {handler!r} is neither a module of the archive nor a built-in handler", name=name
    )


def _import_aside(name: str, path: str) -> ModuleType:
    """A handler called `json.py` runs, without becoming the `json` that everybody else imports."""
    alias = f"_archive_{name}"
    spec = importlib.util.spec_from_file_location(alias, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    spec.loader.exec_module(module)
    return module


def _only_instance(module: ModuleType) -> Any:
    classes = list_classes_from_module(module)
    if len(classes) != 1:
        raise ValueError(
            f"Expected only one class in custom service code or a function entry point {classes}"
        )
    instance = classes[0]()
    if not callable(getattr(instance, "handle", None)):
        raise ValueError(f"Expect handle method in class {classes[0]}")
    return instance


def _envelope_class(name: str) -> type:
    if name not in ENVELOPES:
        raise ValueError(f"service envelope {name!r} is not one of {', '.join(ENVELOPES)}")
    return list_classes_from_module(importlib.import_module(f"ts.torch_handler.request_envelope.{name}"))[0]
