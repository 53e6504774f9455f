"""What the worker does about torch and its kin without importing them for models that need none."""

from __future__ import annotations

import ast
import importlib
import logging
import os
import sys

from davy_worker.entry_point import handler_module_name
from davy_worker.tensor_sharing import share_without_sockets

logger = logging.getLogger(__name__)

# Each starts its own pool; together they must not exceed the share the server gave this worker.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# Imported ahead of the cage when the archive's own source names them.
KNOWN = ("numpy", "torch", "PIL", "onnxruntime", "safetensors", "captum", "transformers", "scipy", "yaml")
# Every built-in handler runs torch, most of them on images or arrays.
BUILTIN = ("numpy", "torch", "PIL", "safetensors")
# The parts of `ts` that need none of it: a handler that streams or counts pays for no framework.
LIGHT = ("ts.context", "ts.metrics", "ts.protocol", "ts.service", "ts.utils", "ts.handler_utils.utils", "ts.handler_utils.timer")
# A scan of imports, not of the archive: handlers are small, and few lie deep.
MAX_SOURCE_BYTES = 1024 * 1024
MAX_SOURCES = 64


def limit_threads(threads: int | None) -> None:
    """Sets the pools' sizes through the environment, before anything has read it."""
    if threads is not None:
        for name in THREAD_VARIABLES:
            os.environ[name] = str(threads)


def limit_torch(threads: int | None) -> bool:
    """Fits torch to the worker's threads and cage once the handler has imported it; whether it had."""
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    if threads is not None and hasattr(torch, "set_num_threads"):
        torch.set_num_threads(threads)
    if hasattr(torch, "UntypedStorage"):
        share_without_sockets(torch)
    return True


def import_early(handler: str | None, model_dir: str) -> None:
    """Imports the frameworks this model will want, before the worker locks itself in."""
    wanted: set[str] = set()
    sources = _sources(model_dir)
    for path in sources:
        wanted |= _imported(path)
    own = f"{handler_module_name((handler or '').partition(':')[0])}.py"
    if not any(os.path.basename(path) == own for path in sources):
        wanted |= set(BUILTIN)
    for name in KNOWN:
        if name in wanted:
            try:
                importlib.import_module(name)
            except ImportError:
                # The handler may do without it; if not, its own import says so.
                logger.info("%s is not installed", name)


def _sources(model_dir: str) -> list[str]:
    """Those at the top first: the handler usually is one of them."""
    paths: list[str] = []
    for folder, folders, names in os.walk(model_dir):
        folders.sort()
        paths += [os.path.join(folder, name) for name in sorted(names) if name.endswith(".py")]
        if len(paths) >= MAX_SOURCES:
            break
    return paths[:MAX_SOURCES]


def _imported(path: str) -> set[str]:
    """Top-level packages a source file imports anywhere; a file that does not parse imports nothing."""
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read(MAX_SOURCE_BYTES))
    except (SyntaxError, ValueError, OSError, RecursionError, MemoryError):
        return set()
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module)
    names = {module.partition(".")[0] for module in modules}
    return names | set(BUILTIN) if any(_runs_torch(module) for module in modules) else names


def _runs_torch(module: str) -> bool:
    """Whether a module of `ts` may want torch; when in doubt it does, for it cannot be imported behind the cage."""
    if module.partition(".")[0] != "ts":
        return False
    return not any(module == light or module.startswith(f"{light}.") for light in LIGHT)
