"""The Python names that TorchServe handlers import, served by Davy (surface spec 9.2)."""

__version__ = "0.12.0"
