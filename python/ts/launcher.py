"""Starts and stops the server and registers models, for scripts written against TorchServe (surface spec 9.2)."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections import deque
from queue import Queue
from typing import Any, Mapping

READY = "Model server started"
MANAGEMENT = "http://localhost:8081"
KEY_FILE = "key_file.json"
REQUEST_TIMEOUT_SECONDS = 300


class Response:
    """The answer to a management request, read like one of the package `requests`."""

    def __init__(self, status_code: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.status_code = status_code
        self.content = content
        self.headers = headers

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    @property
    def ok(self) -> bool:
        return self.status_code < 400

    def json(self) -> Any:
        return json.loads(self.content)


def start(
    model_store: str | None = None,
    snapshot_file: str | None = None,
    no_config_snapshots: bool = False,
    plugin_folder: str | None = None,
    disable_token: bool = False,
    models: str | None = None,
    enable_model_api: bool = True,
) -> "Queue[str | None]":
    """Runs `torchserve --start` and returns once it is ready.

    Gives a queue that gets every later line of the server's output, and None at its end.
    Raises RuntimeError with the output when the server ends before it is ready.
    """
    stop()
    command = ["torchserve", "--start"]
    for flag, value in (
        ("--model-store", model_store),
        ("--plugins-path", plugin_folder),
        ("--ts-config", snapshot_file),
        ("--models", models),
    ):
        if value:
            command += [flag, value]
    for flag, wanted in (
        ("--no-config-snapshots", no_config_snapshots),
        ("--disable-token-auth", disable_token),
        ("--enable-model-api", enable_model_api),
    ):
        if wanted:
            command.append(flag)
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    seen: deque[str] = deque(maxlen=50)
    for line in process.stdout:
        seen.append(line)
        if READY in line:
            break
    else:
        process.communicate()
        raise RuntimeError("the server did not start:\n" + "".join(seen))
    lines: Queue[str | None] = Queue()
    threading.Thread(target=_drain, args=(process, lines), daemon=True).start()
    return lines


def stop(wait_for_exit: bool = True) -> None:
    """Stops the running server, if there is one."""
    command = ["torchserve", "--stop"]
    if wait_for_exit:
        command.append("--foreground")
    subprocess.run(command, stdin=subprocess.DEVNULL, check=False)


def register_model(model_name: str, url: str | None = None) -> Response:
    """Registers `{model_name}.mar` (or `url`) with one worker and waits for it."""
    params = {"model_name": model_name, "url": url or f"{model_name}.mar", "initial_workers": "1"}
    return register_model_with_params({**params, "synchronous": "true"})


def register_model_with_params(params: Mapping[str, Any]) -> Response:
    """`POST /models` with these parameters; the management key is taken from key_file.json if it is there."""
    query = urllib.parse.urlencode(dict(params))
    request = urllib.request.Request(f"{MANAGEMENT}/models?{query}", method="POST", headers=_authorization())
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_SECONDS) as answer:
            return Response(answer.status, answer.read(), dict(answer.headers))
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, error.read(), dict(error.headers))


def _authorization() -> dict[str, str]:
    path = os.path.join(os.getcwd(), KEY_FILE)
    try:
        with open(path, encoding="utf-8") as file:
            return {"Authorization": f"Bearer {json.load(file)['management']['key']}"}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _drain(process: "subprocess.Popen[str]", lines: "Queue[str | None]") -> None:
    """Keeps the server's pipe empty for as long as it writes."""
    with process:
        for line in process.stdout:
            lines.put(line)
    lines.put(None)
