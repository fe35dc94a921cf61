"""A network with the objective at its end, which counts what is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from maskstack.explainers.network import Network
from maskstack.masks.batches import Batches
from maskstack.objectives import Objective


class ScoredNetwork(nn.Module):
    """From images, and which of the batch's images each was made from, to one score each.

    Other libraries' methods work on it as on any network with a single output, for whatever objective. The user's
    network is a submodule, so its layers are found and hooked where they are.

    Args:
        network: The user's network.
        bound: The objective, bound to the batch of B images.
        images: B.

    Attributes:
        forward_passes: Images sent forward for each of the B images.
        backward_passes: Images sent backward for each of them.
    """

    def __init__(self, network: Network, bound: Objective, images: int) -> None:
        super().__init__()
        self.network = network
        # Registered, so that named_modules() and target layers reach into it.
        self.inner = network.model if isinstance(network.model, nn.Module) else None
        self.bound = bound
        self.forward_passes = torch.zeros(images, dtype=torch.int64)
        self.backward_passes = torch.zeros(images, dtype=torch.int64)
        self._row: int | None = None
        self.eval()

    def forward(self, images: Tensor, rows: Tensor | None = None) -> Tensor:
        """Score images.

        Args:
            images: N x C x H x W.
            rows: Index of the image each was made from, N. Left out, they are the batch itself, or made from the one
                image that :meth:`only` names.

        Returns:
            Scores, N.
        """
        rows = self._rows(len(images)) if rows is None else rows
        counted = rows.detach().cpu()
        self.forward_passes += torch.bincount(counted, minlength=len(self.forward_passes))
        scores = self.bound.select(rows)(self.network(images))
        if scores.requires_grad:
            scores = _CountBackward.apply(scores, lambda: self._went_backward(counted))
        return scores

    @contextmanager
    def only(self, row: int) -> Iterator[None]:
        """Within, whatever images come are made from this one."""
        self._row = row
        try:
            yield
        finally:
            self._row = None

    @torch.no_grad()
    def scores(self, images: Tensor, rows: Tensor, *, batch_size: int) -> Tensor:
        """Scores without gradient, in chunks: N."""
        every = torch.arange(len(images), device=images.device)
        return torch.cat(Batches(batch_size).run(every, lambda chunk: self(images[chunk], rows[chunk])))

    def _rows(self, count: int) -> Tensor:
        return torch.arange(count) if self._row is None else torch.full((count,), self._row)

    def _went_backward(self, rows: Tensor) -> None:
        self.backward_passes += torch.bincount(rows, minlength=len(self.backward_passes))


class _CountBackward(torch.autograd.Function):
    """The scores as they are; says so when a gradient comes back through them."""

    @staticmethod
    def forward(context: Any, scores: Tensor, tell: Callable[[], None]) -> Tensor:
        context.tell = tell
        return scores.view_as(scores)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        context.tell()
        return gradient, None
