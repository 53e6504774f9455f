"""Starts a Davy worker.

    {interpreter} -I -B {root}/python/davy_worker/__main__.py

with cwd = the model directory, descriptor 3 = the socket to the server, stdin = /dev/null.

``-I`` keeps the working directory, PYTHON* variables and the user's site directory out of the module
search, so nothing that an archive holds (``json.py``, ``sitecustomize.py``, ``ts/``) is seen before this
file chose the search order itself; ``-B`` leaves no byte code behind. Only the standard library is
imported here; a PYTHONPATH that the operator allows through is honoured later (``imports.py``).
"""

import os
import sys

if __name__ == "__main__":
    if sys.version_info < (3, 10):
        sys.exit("the Davy worker needs Python 3.10 or later, this is " + sys.version.split()[0])
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from davy_worker.process import main

    sys.exit(main())
