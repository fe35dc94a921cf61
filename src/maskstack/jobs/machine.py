"""What the work needs from this machine: a device, and a folder that can be written to."""

from __future__ import annotations

from pathlib import Path

import torch

from maskstack.errors import InputError
from maskstack.files import write_whole


def pick_device(name: str) -> torch.device:
    """The device with this name; ``auto`` selects CUDA or MPS if available, otherwise the CPU.

    Raises:
        InputError: There is no such device on this machine.
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


def check_writable(folder: Path) -> None:
    """Check that files can be written to a folder, before any work is done.

    Raises:
        OutputError: Files cannot be written to the folder.
    """
    write_whole(folder / ".maskstack-probe", lambda file: file.write_bytes(b"")).unlink()
