"""How `multiprocessing` starts the processes of a handler that does not choose.

From Python 3.14 on it asks a process of its own through a unix socket. The cage allows none unless
`worker_allow_unix_sockets` says so; then they are forked, as before.
"""

from __future__ import annotations

import socket
import sys


def choose_start_method() -> None:
    """Takes effect until the handler chooses; nothing changes where sockets can be had."""
    if sys.version_info >= (3, 14) and not can_open_unix_sockets():
        fork_by_default()


def fork_by_default() -> None:
    from multiprocessing import context

    # `set_start_method` would be the handler's one choice: a second call raises.
    context._default_context._default_context = context._concrete_contexts["fork"]


def can_open_unix_sockets() -> bool:
    try:
        socket.socket(socket.AF_UNIX).close()
    except OSError:
        return False
    return True
