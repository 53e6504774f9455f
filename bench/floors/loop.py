"""The far end of the chain floor: length-prefixed frames over a unix socket, each answered at once."""

import socket
import sys

path, mode = sys.argv[1:]
connection = socket.socket(socket.AF_UNIX)
connection.connect(path)
prefix = bytearray(4)


def fill(buffer):
    view = memoryview(buffer)
    while view:
        count = connection.recv_into(view)
        if count == 0:
            sys.exit()
        view = view[count:]


while True:
    fill(prefix)
    body = bytearray(int.from_bytes(prefix, "big"))
    fill(body)
    answer = body if mode == "echo" else b'{"output":1}'
    head = len(answer).to_bytes(4, "big")
    if len(answer) < 65536:
        connection.sendall(head + answer)
    else:
        connection.sendall(head)
        connection.sendall(answer)
