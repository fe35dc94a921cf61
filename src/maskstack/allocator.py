"""Make the C library keep the large memory blocks that every pass allocates again."""

from __future__ import annotations

import contextlib
import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3


def keep_large_blocks() -> None:
    """Tell glibc not to give large blocks back to the system between passes; elsewhere do nothing.

    By default, each activation of some megabytes gets newly mapped memory, and the kernel zeroes its pages. This takes
    about as long as computing the activation (see ``benchmarks/passes.py``). The setting affects the whole process, so
    only the program sets it, never the library.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(_MMAP_THRESHOLD, 1 << 30)
        mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
        mallopt(_TOP_PAD, 1 << 28)
