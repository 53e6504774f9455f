"""What `python -m ts.llm_launcher` finds out about the machine."""

import os
import unittest
from unittest.mock import patch

import harness  # noqa: F401  (puts the packages on the path)
from ts import llm_launcher


class Gpus(unittest.TestCase):
    def test_as_many_count_as_cuda_may_see(self):
        devices = ["null", "nvidia0", "nvidia1", "nvidia2", "nvidiactl"]
        for visible, count in (("", 0), ("-1", 0), ("1", 1), ("0, 1", 2), ("0,-1,1", 1), ("GPU-ab,MIG-cd", 2), ("0,1,2,3", 3)):
            with patch.object(os, "listdir", return_value=devices), patch.dict(os.environ, CUDA_VISIBLE_DEVICES=visible):
                self.assertEqual(llm_launcher._gpu_count(), count, visible)


if __name__ == "__main__":
    unittest.main()
