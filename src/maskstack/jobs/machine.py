"""What the work depends on at this machine: a device, its speed, and a folder that can be written to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from maskstack.errors import InputError
from maskstack.files import write_whole
from maskstack.models import LoadedModel
from maskstack.objectives.outputs import find_tensor


def pick_device(name: str) -> torch.device:
    """The device of that name; ``auto`` takes CUDA or MPS if available, otherwise the CPU.

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


def pass_seconds(net: LoadedModel, images: Sequence[Tensor]) -> float:
    """Seconds of one forward and backward pass, measured on the first image; 0 if there is none.

    Args:
        net: The network.
        images: Each C x H x W, on the network's device.
    """
    if not images:
        return 0.0
    image = images[0].unsqueeze(0)
    times = []
    for _ in range(2):
        started = time.perf_counter()
        leaf = image.detach().requires_grad_(True)
        output = find_tensor(net.model(leaf))
        if output.requires_grad:
            torch.autograd.grad(output.float().sum(), leaf, allow_unused=True)
        times.append(time.perf_counter() - started)
    return min(times)


def check_writable(folder: Path) -> None:
    """Check that files can be written to a folder, before any work is done.

    Raises:
        OutputError: They cannot.
    """
    write_whole(folder / ".maskstack-probe", lambda file: file.write_bytes(b"")).unlink()
