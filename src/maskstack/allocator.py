"""Make the C library keep the large memory blocks that every pass allocates again."""

from __future__ import annotations

import contextlib
import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8


def keep_large_blocks() -> None:
    """Tell glibc not to give large blocks back to the system between passes; elsewhere do nothing.

    By default, each activation of some megabytes gets newly mapped memory, and the kernel zeroes its pages. This takes
    about as long as computing the activation (see ``benchmarks/passes.py``). The setting affects the whole process, so
    only the program sets it, never the library.
    """
    _set({_MMAP_THRESHOLD: 1 << 30, _TRIM_THRESHOLD: (1 << 31) - 1, _TOP_PAD: 1 << 28})


def share_blocks() -> None:
    """Tell glibc to use the same memory for all threads; elsewhere do nothing.

    By default, each thread gets an area of its own, whose blocks no other thread can use again. A server with many
    threads would keep several times the memory that it needs. Only the program sets it, before it starts threads.
    """
    _set({_ARENA_MAX: 1})


def _set(options: dict[int, int]) -> None:
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        for option, value in options.items():
            mallopt(option, value)
