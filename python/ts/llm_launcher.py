"""`python -m ts.llm_launcher`: serves one language model, packaged on the way (surface spec 12.6).

The engines' own handlers are not part of Davy; `--handler` names one of yours. The model directory is removed at the end.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import queue
import re
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any, Iterator, Sequence

from ts import launcher

HANDLERS = {"vllm": ("vllm_handler", "vllm"), "trt_llm": ("trt_llm_handler", "tensorrt_llm")}
RESPONSE_TIMEOUT_SECONDS = 1200
POLL_SECONDS = 1.0


def main(argv: Sequence[str] | None = None) -> None:
    """Runs until the server ends, or until this process is asked to."""
    args = parser().parse_args(argv)
    if args.handler is None:
        sys.exit(_why_not(args.engine))
    # A stop in order, so that the directory goes away, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ExitStack() as stack:
        stack.enter_context(model_directory(args))
        configuration = stack.enter_context(_configuration())
        # Ahead of the start: a stop may come in the middle of it.
        stack.callback(launcher.stop)
        lines = launcher.start(
            model_store=args.model_store,
            snapshot_file=configuration,
            no_config_snapshots=True,
            disable_token=args.disable_token_auth,
            models=args.model_name,
            enable_model_api=False,
        )
        print("Model server started.", flush=True)
        _show(lines)


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m ts.llm_launcher", description="Serves one large language model.")
    add = found.add_argument
    add("--model_name", default="model", help="name to serve it under (default: %(default)s)")
    add("--model_store", default="model_store", help="directory for the model's files (default: %(default)s)")
    add("--model_id", default="meta-llama/Meta-Llama-3.1-8B-Instruct", help="model or path (default: %(default)s)")
    add("--disable_token_auth", action="store_true", help="serve everybody who can connect")
    add("--engine", choices=sorted(HANDLERS, reverse=True), default="vllm", help="default: %(default)s")
    add("--vllm_engine.max_num_seqs", type=int, default=256, help="default: %(default)s")
    add("--vllm_engine.max_model_len", type=int, default=None)
    add("--vllm_engine.download_dir", default=None)
    add("--startup_timeout", type=int, default=1200, help="seconds (default: %(default)s)")
    add("--dtype", default="bfloat16", help="default: %(default)s")
    add("--trt_llm_engine.max_batch_size", type=int, default=4, help="default: %(default)s")
    add("--trt_llm_engine.kv_cache_free_gpu_memory_fraction", type=float, default=0.1, help="default: %(default)s")
    add("--handler", type=Path, default=None, help="Davy only: a handler file of yours that runs the engine")
    return found


def model_config(args: argparse.Namespace) -> dict[str, Any]:
    """What `model-config.yaml` says; `args` as the parser gives them."""
    options = vars(args)
    gpus = _gpu_count()
    config = {
        "minWorkers": 1,
        "maxWorkers": 1,
        "batchSize": 1,
        "maxBatchDelay": 100,
        "responseTimeout": RESPONSE_TIMEOUT_SECONDS,
        "startupTimeout": args.startup_timeout,
        "deviceType": "gpu",
        "asyncCommunication": True,
    }
    if args.engine == "vllm":
        engine = {name: options[f"vllm_engine.{name}"] for name in ("max_num_seqs", "max_model_len", "download_dir")}
        engine = {name: value for name, value in engine.items() if value is not None}
        config["parallelLevel"] = gpus
        key = "vllm_engine_config"
        engine["tensor_parallel_size"] = gpus
    else:
        names = ("max_batch_size", "kv_cache_free_gpu_memory_fraction")
        engine = {name: options[f"trt_llm_engine.{name}"] for name in names}
        key = "trt_llm_engine_config"
    return {**config, "handler": {"model_path": args.model_id, "dtype": args.dtype, key: engine}}


@contextmanager
def model_directory(args: argparse.Namespace) -> Iterator[Path]:
    """`{model_store}/{model_name}`, a model without an archive; gone afterwards. Nothing that exists is replaced."""
    folder = Path(args.model_store) / args.model_name
    if folder.parent != Path(args.model_store) or not args.model_name.strip("."):
        sys.exit(f"--model_name must be a plain name, found {args.model_name!r}.")
    manifest = {
        "runtime": "python",
        "model": {
            "modelName": args.model_name,
            "modelVersion": "1.0",
            "handler": args.handler.name,
            "configFile": "model-config.yaml",
        },
    }
    Path(args.model_store).mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()
    except FileExistsError:
        sys.exit(f"{folder} exists already: give another --model_name, or remove it.")
    try:
        (folder / "MAR-INF").mkdir()
        (folder / "MAR-INF" / "MANIFEST.json").write_text(json.dumps(manifest), encoding="utf-8")
        # JSON is YAML.
        (folder / "model-config.yaml").write_text(json.dumps(model_config(args), indent=2), encoding="utf-8")
        try:
            shutil.copyfile(args.handler, folder / args.handler.name)
        except OSError as error:
            sys.exit(f"--handler {args.handler}: {error.strerror}.")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _configuration() -> Iterator[str | None]:
    """A file that makes workers run in this interpreter, where the engine is; TS_CONFIG_FILE would win over it."""
    if os.environ.get("TS_CONFIG_FILE"):
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.properties"
        python = sys.executable.replace("\\", "\\\\")
        # Properties files are ISO-8859-1, with \\u for the rest.
        path.write_text(f"python={python}\n", encoding="latin-1", errors="backslashreplace")
        yield str(path)


def _why_not(engine: str) -> str:
    """The words for an engine without a handler of the user's."""
    handler, package = HANDLERS[engine]
    remedy = "Give --handler FILE, a handler of yours that runs it."
    if importlib.util.find_spec(package) is None:
        return f"{package} is not installed in {sys.executable}, and Davy brings no {handler}. Install it first. {remedy}"
    return f"{package} is installed, but Davy brings no {handler}. {remedy}"


def _gpu_count() -> int:
    """NVIDIA's, as the server counts them: one device node each; torch takes seconds to say the same."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = sum(re.fullmatch(r"nvidia\d+", name) is not None for name in os.listdir("/dev"))
    if visible is None:
        return found
    # CUDA reads up to the first that is none, such as the -1 that switches all of them off.
    return min(found, len(list(takewhile(lambda item: re.match(r"\s*(\d|GPU-|MIG-)", item), visible.split(",")))))


def _show(lines: "queue.Queue[str | None]") -> None:
    """The server's log, until it ends."""
    while True:
        try:
            # With a limit, because a wait without one is deaf to signals on some systems.
            line = lines.get(timeout=POLL_SECONDS)
        except queue.Empty:
            continue
        if line is None:
            return
        print(line, end="", flush=True)


if __name__ == "__main__":
    main()
