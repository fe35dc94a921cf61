"""Process many items in batches of only a few different sizes, and in smaller batches when memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from maskstack.errors import MaskstackError, ModelError

T = TypeVar("T")
Indices = TypeVar("Indices", Tensor, range)


class Batches:
    """Runs a function over indices, never more than ``limit`` at a time.

    After the full chunks, the rest is split into powers of two. A backend prepares its kernels again for every new
    batch size, and problems end one by one, so without the split there could be as many sizes as problems.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def run(self, indices: Indices, work: Callable[[Indices], T]) -> list[T]:
        """Call ``work`` on chunks of the indices, in order.

        A chunk that does not fit in memory is tried again at half the size, and the limit stays halved. After another
        error the limit is one, because a network that was exported for one image refuses several.

        Raises:
            ModelError: Not even one at a time fits.
        """
        results = []
        start = 0
        while start < len(indices):
            size = chunk_size(len(indices) - start, self.limit)
            try:
                results.append(work(indices[start : start + size]))
            except (RuntimeError, ValueError, AssertionError, MemoryError) as error:
                too_large = is_out_of_memory(error)
                if size == 1 and too_large:
                    raise ModelError(
                        "one image alone does not fit in memory; use a smaller input or a device with more memory"
                    ) from error
                if size == 1 or isinstance(error, MaskstackError):
                    raise
                self.limit = size // 2 if too_large else 1
            else:
                start += size
        return results


def chunk_size(left: int, limit: int) -> int:
    """Size of the next chunk: the limit, or the largest power of two that is left.

    >>> [chunk_size(left, 32) for left in (100, 32, 13, 5, 1)]
    [32, 32, 8, 4, 1]
    """
    return limit if left >= limit else 1 << (left.bit_length() - 1)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on any device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    signs = ("out of memory", "can't allocate memory", "not enough memory", "could not create a memory")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)
