"""Loads weights without running what is in them.

safetensors, TorchScript, and `torch.load(weights_only=True)`; never `weights_only=False`.
"""

from __future__ import annotations

import os
from typing import Any

# Earlier versions of the weights-only unpickler had known ways out.
SAFE_UNPICKLER = (2, 10)


def load_state_dict(path: str, map_location: Any) -> dict[str, Any]:
    """A state dict from a safetensors file or a checkpoint that holds nothing but tensors and plain containers."""
    if path.endswith(".safetensors"):
        try:
            from safetensors.torch import load_file
        except ImportError:
            raise RuntimeError(
                f"{os.path.basename(path)} needs the package safetensors, which is not installed"
            ) from None
        return load_file(path, device=str(map_location))
    state = load_checkpoint(path, map_location)
    if not isinstance(state, dict):
        raise RuntimeError(f"{os.path.basename(path)} holds a {type(state).__name__}, not a state dict")
    return state


def load_checkpoint(path: str, map_location: Any = "cpu") -> Any:
    """What a pickle checkpoint holds, by the weights-only unpickler; refuses on a torch whose one is unsafe."""
    import torch

    name = os.path.basename(path)
    if torch_version(torch.__version__) < SAFE_UNPICKLER:
        raise RuntimeError(
            f"{name} is a pickle checkpoint and torch {torch.__version__} cannot load one safely; "
            "use torch 2.10 or later, or save the weights as .safetensors"
        )
    return torch.load(path, map_location=map_location, weights_only=True)


def torch_version(text: str) -> tuple[int, int]:
    """`2.13.0+cu130` is (2, 13)."""
    major, minor = text.split("+")[0].split(".")[:2]
    return int(major), int("".join(digit for digit in minor if digit.isdigit()) or 0)
