"""How the processes of a handler are started where there are no unix sockets."""

import os
import subprocess
import sys
import unittest

import harness

# In a process of its own: the default is one for the whole process. Set as Python 3.14 has it.
SCRIPT = """
import multiprocessing
from multiprocessing import context
context._default_context = multiprocessing._default_context = context.DefaultContext(context._concrete_contexts["forkserver"])
from davy_worker.start_method import fork_by_default
fork_by_default()
print(context._default_context._default_context.get_start_method())
context._default_context.set_start_method("spawn")
print(context._default_context.get_start_method())
"""


class StartMethod(unittest.TestCase):
    def test_forks_by_default_and_leaves_the_choice_to_the_handler(self):
        folder = os.path.dirname(os.path.dirname(os.path.abspath(harness.__file__)))
        told = subprocess.run([sys.executable, "-c", SCRIPT], env={"PYTHONPATH": folder}, capture_output=True, text=True)
        self.assertEqual(told.stdout.split(), ["fork", "spawn"], told.stderr)


if __name__ == "__main__":
    unittest.main()
