"""What the log says where the cage stopped a handler."""

import errno
import os
import socket
import tempfile
import unittest

import harness  # noqa: F401  (puts the packages on the path)
from davy_worker.hints import NO_NETWORK, READ_ONLY, hint_for


def wrapped(error):
    """As a library would: the cause of something else."""
    try:
        try:
            raise error
        except OSError as inner:
            raise RuntimeError("could not fetch") from inner
    except RuntimeError as outer:
        return outer


class Hints(unittest.TestCase):
    def test_a_read_only_file_system_and_the_model_s_own_folder_are_not_written_to(self):
        own = os.path.join(os.getcwd(), "new.txt")
        for error in (OSError(errno.EROFS, "Read-only", "/model/x"), PermissionError(errno.EACCES, "no", own)):
            self.assertEqual(hint_for(wrapped(error)), f"{READ_ONLY}\n")

    def test_names_that_cannot_be_resolved_mean_no_network(self):
        self.assertEqual(hint_for(wrapped(socket.gaierror(-3, "Temporary failure"))), f"{NO_NETWORK}\n")

    def test_other_errors_have_no_hint(self):
        ring = ValueError("a")
        ring.__cause__ = ring
        others = (ring, PermissionError(errno.EACCES, "no", "/elsewhere/x"), PermissionError(errno.EPERM, "no"))
        self.assertEqual([hint_for(error) for error in others], ["", "", ""])

    def test_a_working_directory_that_is_gone_fails_nothing(self):
        home, gone = os.getcwd(), tempfile.mkdtemp()
        os.chdir(gone)
        try:
            os.rmdir(gone)
            self.assertEqual(hint_for(PermissionError(errno.EACCES, "no", "x")), "")
        finally:
            os.chdir(home)


if __name__ == "__main__":
    unittest.main()
