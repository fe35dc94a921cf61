"""What the work needs from this machine: a device, memory for processes, and a folder that can be written to."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from maskstack.errors import InputError, OutputError, reason
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


MANY_PHOTOS = 32
"""From this number of photos on, a second process saves at least what its start costs, see ``docs/speed.md``."""

_GROWTH = 3  # A process that searches takes up to about this many times the memory of one that has loaded its network.


def process_count(maps: int, device: torch.device) -> int:
    """How many processes share the photos if the user does not say: two where a second one pays and fits in memory.

    Args:
        maps: Number of maps to make.
        device: The device. Processes share only the cores of a CPU.
    """
    if device.type != "cpu" or torch.get_num_threads() < 2 or maps < MANY_PHOTOS:
        return 1
    return 2 if 0 < 2 * _GROWTH * own_memory() <= free_memory() else 1


def own_memory() -> int:
    """The most memory that this process has held so far, in bytes; 0 on other systems than Linux."""
    if sys.platform != "linux":
        return 0
    import resource  # exists on Unix only

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def free_memory(system: Path = Path("/")) -> int:
    """Bytes of memory that processes may still take, within the limit of their container; 0 if Linux does not say.

    Args:
        system: Where ``proc`` and ``sys`` are.
    """
    try:
        lines = (system / "proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return 0
    groups = system / "sys/fs/cgroup"
    for most, used in (
        (groups / "memory.max", groups / "memory.current"),
        (groups / "memory/memory.limit_in_bytes", groups / "memory/memory.usage_in_bytes"),
    ):
        try:
            free = min(free, max(int(most.read_text()) - int(used.read_text()), 0))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return free


def check_writable(folder: Path) -> None:
    """Check that files can be written to a folder, before any work is done.

    Raises:
        OutputError: Files cannot be written to the folder, or it is a file.
    """
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise OutputError(f"{place} is a file; give a folder for the results")
    try:
        write_whole(folder / ".maskstack-probe", lambda file: file.write_bytes(b"")).unlink()
    except OutputError as error:
        what = getattr(error.__cause__, "strerror", None) or reason(error)
        raise OutputError(f"cannot write to the folder {folder}: {what}; choose another folder") from error
