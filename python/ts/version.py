"""The version of the TorchServe surface served (surface spec 9.2)."""

from ts import __version__

__all__ = ["__version__"]
