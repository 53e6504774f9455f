"""A worker's life: hello, load, batches, end (docs/worker-protocol.md)."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from typing import Any

from davy_worker.frames import FrameReader, FrameWriter, ProtocolError

DESCRIPTOR = 3


def main() -> int:
    """Serves one model over descriptor 3; the exit status."""
    # Ctrl-C reaches the whole terminal group; the server decides when its workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(DESCRIPTOR, False)
    channel = socket.socket(fileno=DESCRIPTOR)
    # Whatever mode the descriptor was left in, the plain loop waits in its reads.
    channel.setblocking(True)
    try:
        return _serve(channel)
    except ProtocolError as error:
        print(f"worker protocol: {error}", file=sys.stderr, flush=True)
        return 70
    except (BrokenPipeError, ConnectionResetError):
        # The server is gone, and with it everyone who could read an answer.
        return 0


def _serve(channel: socket.socket) -> int:
    writer = FrameWriter(channel)
    writer.send_object({"t": "hello", "pid": os.getpid(), "runtime": "python"})
    # Only now: the server starts its clock at hello, and these imports take most of the start.
    from davy_worker import loading
    from davy_worker.metric_frames import MetricOutbox

    loading.configure_logging()
    loading.announce()
    reader = FrameReader(channel)
    frame = reader.read()
    if frame is None:
        return 0
    model = _model_of(reader, *frame)
    if model is None:
        return 0
    outbox = MetricOutbox(writer)
    try:
        service = loading.load_model(model, outbox)
    except loading.LoadFailed as failure:
        writer.send_object({"t": "failed", "code": failure.code, "message": failure.message})
        return 1
    # What was loaded stays; collections during service need not walk a million framework objects each time.
    gc.collect()
    gc.freeze()
    outbox.flush()
    writer.send_object({"t": "loaded"})
    if model.get("asyncCommunication"):
        from davy_worker.async_loop import serve_async as serve
    else:
        from davy_worker.loop import serve
    serve(service, reader, writer, outbox)
    return 0


def _model_of(reader: FrameReader, header: dict[str, Any], body_size: int) -> dict[str, Any] | None:
    """The model to load; None when the server changed its mind."""
    reader.skip(body_size)
    if header.get("t") == "stop":
        return None
    model = header.get("model")
    if header.get("t") != "load" or not isinstance(model, dict):
        raise ProtocolError("the first frame is not a load frame")
    return model
