"""Which device to work on."""

from __future__ import annotations

import torch

from maskstack.errors import InputError


def pick_device(name: str) -> torch.device:
    """The device of that name; ``auto`` takes CUDA or MPS where there is one.

    Raises:
        InputError: There is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"there is no device {name!r} here; use auto or cpu") from error
    return device
