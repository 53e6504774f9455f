"""Frames on the socket: length-prefixed JSON header plus raw body (docs/worker-protocol.md, "Frame")."""

from __future__ import annotations

import json
import struct
import threading
from typing import Any, Sequence

# Room for several small frames in one read; a longer body bypasses it.
BUFFER_BYTES = 64 * 1024
# From here on a body is received straight into its own bytearray: the copy would cost more than the extra read.
DIRECT_BYTES = 16 * 1024
# A run frame carries every header of every request of a batch; the server caps each request far below this.
MAX_HEADER_BYTES = 64 * 1024 * 1024
MAX_BODY_BYTES = 0xFFFF_FFFF
# Below this, joining the pieces is cheaper than a gather write.
JOIN_BYTES = 16 * 1024
# Linux takes at most 1,024 pieces in one gather write.
MAX_PIECES = 1000

_lengths = struct.Struct(">II")
_unpack_from = _lengths.unpack_from
_pack = _lengths.pack
_scan = json.JSONDecoder().scan_once


class ProtocolError(Exception):
    """The peer broke a rule of the protocol; the worker ends."""


class FrameReader:
    """Reads frames from a stream socket. One reader, one thread."""

    __slots__ = ("_recv_into", "_buffer", "_view", "_start", "_end")

    def __init__(self, sock: Any) -> None:
        self._recv_into = sock.recv_into
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0

    def read(self) -> tuple[dict[str, Any], int] | None:
        """The next header and the size of its body, or None when the server has closed the socket.

        The caller takes exactly the body (``take``) before it reads on.
        """
        if self._end - self._start < 8 and not self._fill(8):
            return None
        header_size, body_size = _unpack_from(self._buffer, self._start)
        self._start += 8
        if not 2 <= header_size <= MAX_HEADER_BYTES:
            raise ProtocolError(f"header of {header_size} bytes")
        try:
            text = self.take(header_size).decode("utf-8")
            header, end = _scan(text, 0)
        except (UnicodeDecodeError, ValueError, StopIteration, RecursionError) as error:
            raise ProtocolError(f"header is not JSON: {error!r}") from None
        if end != len(text) or type(header) is not dict:
            raise ProtocolError("header is not one JSON object")
        return header, body_size

    def take(self, size: int) -> bytearray:
        """The next `size` bytes, in a bytearray that belongs to the caller."""
        start = self._start
        have = self._end - start
        if size > have:
            if size > DIRECT_BYTES:
                return self._take_direct(size, have)
            if not self._fill(size):
                raise ProtocolError("socket closed within a frame")
            start = self._start
        self._start = start + size
        return self._buffer[start : start + size]

    def skip(self, size: int) -> None:
        """Drops `size` bytes."""
        while size > 0:
            step = min(size, DIRECT_BYTES)
            self.take(step)
            size -= step

    def _take_direct(self, size: int, have: int) -> bytearray:
        body = bytearray(size)
        # The view is released at the end: the handler may resize what it was given.
        with memoryview(body) as target:
            target[:have] = self._view[self._start : self._end]
            self._start = self._end = 0
            while have < size:
                got = self._recv_into(target[have:])
                if got == 0:
                    raise ProtocolError("socket closed within a frame")
                have += got
        return body

    def _fill(self, need: int) -> bool:
        """Reads until `need` bytes wait in the buffer; False when the socket ends between two frames."""
        start, end = self._start, self._end
        if start == end:
            start = end = 0
        elif start + need > BUFFER_BYTES:
            self._view[: end - start] = self._view[start:end]
            start, end = 0, end - start
        while end - start < need:
            got = self._recv_into(self._view[end:])
            if got == 0:
                if end != start:
                    raise ProtocolError("socket closed within a frame")
                return False
            end += got
        self._start, self._end = start, end
        return True


class FrameWriter:
    """Writes frames to a stream socket; safe to call from several threads."""

    __slots__ = ("_sock", "_lock")

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._lock = threading.Lock()

    def send(self, header: str, bodies: Sequence[Any] = (), *, before: str | None = None) -> None:
        """Sends one frame in one write. `before` is a body-less frame that goes ahead of it."""
        head = header.encode("utf-8", "backslashreplace")
        size = 0
        for body in bodies:
            size += len(body)
        if size > MAX_BODY_BYTES:
            raise ProtocolError("response body over 4 GiB")
        pieces = [_pack(len(head), size), head, *bodies]
        total = 8 + len(head) + size
        if before is not None:
            ahead = before.encode("utf-8", "backslashreplace")
            pieces[:0] = (_pack(len(ahead), 0), ahead)
            total += 8 + len(ahead)
        with self._lock:
            if total <= JOIN_BYTES:
                self._sock.sendall(b"".join(pieces))
            else:
                self._gather(pieces)

    def send_object(self, header: dict[str, Any]) -> None:
        """Sends one frame without a body."""
        self.send(json.dumps(header))

    def _gather(self, pieces: list[Any]) -> None:
        sendmsg = self._sock.sendmsg
        views = [memoryview(piece).cast("B") for piece in pieces if len(piece)]
        first = 0
        while first < len(views):
            sent = sendmsg(views[first : first + MAX_PIECES])
            while first < len(views) and sent >= len(views[first]):
                sent -= len(views[first])
                first += 1
            if sent:
                views[first] = views[first][sent:]
