"""The Python face of Davy's archiver, under the names that TorchServe's users import (surface spec 8.7).

There is one archiver, the server's own: this package hands its arguments to it, so that an archive made from Python
is byte for byte the archive made by `davy archive`.
"""

from .config import ModelArchiverConfig, ModelArchiverError

__all__ = ["ModelArchiverConfig", "ModelArchiverError"]
