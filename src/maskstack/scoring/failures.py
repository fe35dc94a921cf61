"""What comes out of a user's network, in one sentence: what was wrong, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from maskstack.batches import is_out_of_memory
from maskstack.errors import MaskstackError, ModelError, reason
from maskstack.scoring.causes import Given, cause_of, sizes


class PassError(RuntimeError):
    """An error in a pass, with what the network was given; its cause is the error itself.

    It stays inside this package: :func:`readable` turns it into a :class:`ModelError`.
    """

    def __init__(self, given: Given) -> None:
        super().__init__(f"the network failed on {given.shape}")
        self.given = given


@contextmanager
def watched(given: Callable[[], Given], *own: type[Exception]) -> Iterator[None]:
    """Inside the context, every error of the network becomes a :class:`PassError`.

    Args:
        given: Describes what the network was given.
        *own: Errors that are passed on as they are, as those of this package and those about memory are.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, (MaskstackError, PassError, *own)) or is_out_of_memory(error):
            raise
        # contextlib would let a StopIteration pass.
        cause = RuntimeError("StopIteration") if isinstance(error, StopIteration) else error
        raise PassError(given()) from cause


@contextmanager
def readable() -> Iterator[None]:
    """Inside the context, errors of the network's passes become sentences; the original is their cause.

    Raises:
        ModelError: The network or the objective failed, forward or backward.
    """
    try:
        yield
    except PassError as error:
        cause = error.__cause__ or error
        raise ModelError(sentence(cause, error.given)) from cause
    except Exception as error:
        if isinstance(error, MaskstackError) or is_out_of_memory(error) or not _in_autograd(error):
            raise
        raise ModelError(sentence(error, None)) from error


def sentence(error: BaseException, given: Given | None) -> str:
    """The sentence for an error of a forward pass, or of a backward pass if nothing was given."""
    text = f"{type(error).__name__}: {reason(error)}" if str(error).strip() else type(error).__name__
    if found := cause_of(error, given):
        return f"{found} ({text})"
    if given is None:
        return (
            "the network's backward pass failed, which masks need; check that loss.backward() works for this network, "
            f"or use a method that needs no gradient, such as rise ({text})"
        )
    if given.objective:
        return (
            f"the objective {given.objective} failed on the network's output; check what model(images) returns and "
            f"what the objective reads from it ({text})"
        )
    if given.accepted:
        return (
            f"the network failed on images of shape {sizes(given.shape)}, though it took {sizes(given.accepted)} "
            f"before; it has to take any number of images, each by itself ({text})"
        )
    return f"the network failed on images of shape {sizes(given.shape)}; check that it runs on them by itself ({text})"


def _in_autograd(error: BaseException) -> bool:
    """Whether an error comes out of a backward pass."""
    trace = error.__traceback__
    while trace is not None:
        if "torch/autograd/" in trace.tb_frame.f_code.co_filename.replace("\\", "/"):
            return True
        trace = trace.tb_next
    return False


def weights_dtype(modules: Any) -> torch.dtype | None:
    """Data type of the first floating-point weight of some modules."""
    for module in modules:
        for tensor in module._parameters.values():
            if isinstance(tensor, Tensor) and tensor.is_floating_point():
                return tensor.dtype
    return None
