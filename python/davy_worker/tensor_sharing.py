"""How tensors travel between the processes of one handler, as those of `DataLoader(num_workers=2)`.

torch hands over a descriptor of shared memory through a unix socket. The cage allows none unless
`worker_allow_unix_sockets` says so; then the bytes themselves go through the pipe that DataLoader has anyway.
"""

from __future__ import annotations

import ctypes
from typing import Any

from davy_worker.start_method import can_open_unix_sockets


def share_without_sockets(torch: Any) -> None:
    """Takes effect for what this process and the children that it forks send from now on. Nothing changes where sockets can be had."""
    if can_open_unix_sockets():
        return
    from multiprocessing.reduction import ForkingPickler

    from torch.multiprocessing import reductions

    def reduce_storage(storage: Any) -> Any:
        if storage.device.type != "cpu":
            return reductions.reduce_storage(storage)
        return _storage_of, (ctypes.string_at(storage.data_ptr(), storage.nbytes()),)

    ForkingPickler.register(torch.UntypedStorage, reduce_storage)


def _storage_of(content: bytes) -> Any:
    import torch

    # A storage wants memory that may be written to, and frombuffer at least one byte.
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).untyped_storage() if content else torch.UntypedStorage(0)
