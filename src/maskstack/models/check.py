"""A first run of a network, so that what cannot be explained is said when it is loaded."""

from __future__ import annotations

import torch
from torch import nn

from maskstack.errors import ModelError
from maskstack.objectives.outputs import find_tensor
from maskstack.errors import reason


def try_out(model: nn.Module, shape: tuple[int, int, int]) -> tuple[int, ...]:
    """Run one image of noise through a network, and the gradient back to it.

    Args:
        model: On any device.
        shape: C, H, W of what it takes.

    Returns:
        The shape of the output for the image, without the batch dimension.

    Raises:
        ModelError: The network fails on the image, returns no tensor, or lets no gradient through.
    """
    device = next((tensor.device for tensor in model.state_dict().values()), torch.device("cpu"))
    noise = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0)).to(device).requires_grad_()
    try:
        output = find_tensor(model(noise))
        grad = torch.autograd.grad(output.float().sum(), noise, allow_unused=True)[0] if output.requires_grad else None
    except ModelError:
        raise
    # What a network raises on an input it does not take is its own affair; the sentence is the same.
    except Exception as error:
        raise ModelError(
            f"the network fails on an image of {' x '.join(map(str, shape))} ({reason(error)}); give the "
            "size and channels it takes"
        ) from error
    if grad is None:
        raise ModelError(
            "no gradient reaches the network's input, so no mask can be learned; load it without detaching"
        )
    return tuple(output.shape[1:])
