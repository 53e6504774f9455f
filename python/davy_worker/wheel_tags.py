"""Tells over descriptor 3 which wheels this interpreter can run, and which environment markers hold for it.

Runs in a cage: the markers were written by whoever made the archive.
"""

import json
import os
import sys

try:
    from packaging import markers, tags
except ImportError:
    from pip._vendor.packaging import markers, tags


def main() -> None:
    wanted = json.loads(sys.argv[1])
    answer = {
        "tags": [str(tag) for tag in tags.sys_tags()],
        "applies": [marker is None or markers.Marker(marker).evaluate() for marker in wanted],
    }
    left = json.dumps(answer).encode()
    while left:
        left = left[os.write(3, left) :]


main()
