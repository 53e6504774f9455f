"""Frames are read back exactly as they were written, however the socket cuts them."""

import json
import random
import socket
import struct
import threading
import unittest

import harness  # noqa: F401  (puts the package on the path)
from davy_worker.frames import FrameReader, FrameWriter, ProtocolError


def frame(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack(">II", len(text), len(body)) + text + body


class Trickle:
    """A socket that hands out bytes in the pieces it is told."""

    def __init__(self, data, sizes):
        self.data, self.sizes, self.at = data, sizes, 0

    def recv_into(self, target):
        size = min(next(self.sizes), len(target), len(self.data) - self.at)
        target[:size] = self.data[self.at : self.at + size]
        self.at += size
        return size


class Frames(unittest.TestCase):
    def test_any_cut_of_the_stream_gives_the_same_frames(self):
        seed = random.Random(7)
        for _ in range(40):
            bodies = [seed.randbytes(seed.choice([0, 1, 500, 20_000, 70_000, 200_000])) for _ in range(5)]
            data = b"".join(frame({"t": "run", "i": i}, body) for i, body in enumerate(bodies))
            limit = seed.choice([1000, 7000, 70_000, 1_000_000])
            reader = FrameReader(Trickle(data, iter(lambda: seed.randint(1, limit), None)))
            for index, body in enumerate(bodies):
                header, size = reader.read()
                self.assertEqual((header["i"], size), (index, len(body)))
                half = size // 2
                self.assertEqual(reader.take(half) + reader.take(size - half), body)
            self.assertIsNone(reader.read())

    def test_a_body_is_a_bytearray_the_handler_may_resize(self):
        for size in (10, 100_000):
            reader = FrameReader(Trickle(frame({}, b"x" * size), iter(lambda: 1 << 20, None)))
            reader.read()
            body = reader.take(size)
            body += b"more"
            self.assertEqual(len(body), size + 4)

    def test_a_header_larger_than_the_buffer_is_read(self):
        reader = FrameReader(Trickle(frame({"x": "y" * 300_000}), iter(lambda: 50_000, None)))
        self.assertEqual(len(reader.read()[0]["x"]), 300_000)

    def test_what_is_no_frame_is_refused(self):
        for data in (
            frame(b"[]"),
            frame(b"nonsense"),
            frame(b"{}x"),
            frame(b'{"a":"\xff"}'),
            struct.pack(">II", 0, 0),
            struct.pack(">II", 0xFFFFFFFF, 0),
            b"\0\0\0",
            frame({"t": "run"})[:-1],
        ):
            with self.subTest(data=data[:20]), self.assertRaises(ProtocolError):
                FrameReader(Trickle(data, iter(lambda: 1 << 16, None))).read()

    def test_noise_is_a_frame_or_a_protocol_error_and_nothing_else(self):
        seed = random.Random(11)
        for _ in range(400):
            header = seed.randbytes(seed.randint(0, 30))
            if seed.random() < 0.5:
                header = b'{"t":' + seed.choice([b"1", b'"x"', b"[[[", b"1e999", b"NaN", b"{}"]) + b"}"
            data = struct.pack(">II", seed.choice([len(header), 5, 0]), seed.choice([0, 3])) + header
            reader = FrameReader(Trickle(data, iter(lambda: 1 << 16, None)))
            try:
                header, size = reader.read()
                self.assertIsInstance(header, dict)
                reader.skip(size)
            except ProtocolError:
                pass

    def test_a_large_frame_of_many_pieces_arrives_whole(self):
        left, right = socket.socketpair()
        with left, right:
            pieces = [bytes([index % 256]) * (index * 7 % 900) for index in range(2500)]
            received = []

            def read():
                reader = FrameReader(right)
                metric = reader.read()
                header, size = reader.read()
                received.extend((metric, header, reader.take(size)))

            thread = threading.Thread(target=read)
            thread.start()
            FrameWriter(left).send('{"t":"done"}', pieces, before='{"t":"metric"}')
            thread.join(20)
            self.assertEqual(received[0], ({"t": "metric"}, 0))
            self.assertEqual(received[1:], [{"t": "done"}, b"".join(pieces)])


if __name__ == "__main__":
    unittest.main()
