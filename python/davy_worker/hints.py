"""One line for the log where the cage is what stopped a handler: what to write instead."""

from __future__ import annotations

import errno
import os
import socket
import traceback

READ_ONLY = "Hint: in its cage a handler writes to temporary folders only, not to its model's: use tempfile.mkdtemp()."
NO_NETWORK = "Hint: in its cage a handler has no network: put what it downloads into the archive."

# Libraries wrap what the system said a few times; a chain may be a ring.
MAX_CAUSES = 16
REFUSED = (errno.EACCES, errno.EPERM)


def hint_for(error: BaseException) -> str:
    """The line with its end, or nothing."""
    cause: BaseException | None = error
    for _ in range(MAX_CAUSES):
        if cause is None:
            break
        if isinstance(cause, OSError):
            hint = _hint_for(cause)
            if hint:
                return f"{hint}\n"
        cause = cause.__cause__ or cause.__context__
    return ""


def _hint_for(error: OSError) -> str:
    if error.errno == errno.EROFS:
        return READ_ONLY
    if isinstance(error, socket.gaierror):
        return NO_NETWORK
    if error.errno not in REFUSED:
        return ""
    if isinstance(error.filename, str):
        return READ_ONLY if _is_inside_model(error.filename) else ""
    frames = traceback.extract_tb(error.__traceback__)
    return NO_NETWORK if any(os.path.basename(frame.filename) == "socket.py" for frame in frames) else ""


def _is_inside_model(path: str) -> bool:
    """The working directory is the model's, unless the handler went elsewhere."""
    try:
        return os.path.abspath(path).startswith(os.getcwd() + os.sep)
    except OSError:
        return False  # It went where nothing is any more.
