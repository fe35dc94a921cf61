"""A network with an objective: from images to scores, with every pass counted."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from maskstack.batches import Batches
from maskstack.objectives import Objective
from maskstack.scoring.causes import Given
from maskstack.scoring.failures import watched
from maskstack.scoring.prepared import PreparedModel
from maskstack.scoring.user_model import UserModel
from maskstack.version import __version__


class ScoredModel(nn.Module):
    """Maps images, and the index of the original of each, to one score per image; made by ``scoring``.

    Other libraries' methods can use it like any network with a single output, with any objective. The user's network
    is a submodule, so these methods can find and hook its layers.

    Args:
        prepared: The user's network.
        objective: Bound to the batch of B images.
        images: The batch, B x C x H x W, float32, on the network's device.
        user_model: What the user handed over.
        batch_size: Maximum number of images in one pass.
        started: When the work on the batch began, by ``time.perf_counter``.

    Attributes:
        forward_passes: Images sent forward for each of the B images, the prediction included.
        backward_passes: Images sent backward for each of them.
    """

    def __init__(
        self,
        prepared: PreparedModel,
        objective: Objective,
        images: Tensor,
        user_model: UserModel,
        *,
        batch_size: int,
        started: float,
    ) -> None:
        super().__init__()
        self.prepared, self.objective, self.images = prepared, objective, images
        self.user_model, self.batch_size, self.started = user_model, batch_size, started
        # Registered, so that named_modules() and target layers reach into it.
        self.inner = prepared.model if isinstance(prepared.model, nn.Module) else None
        self.forward_passes = torch.ones(len(images), dtype=torch.int64, device=images.device)
        self.backward_passes = torch.zeros_like(self.forward_passes)
        self._row: int | None = None
        self.training = False

    def train(self, mode: bool = True) -> ScoredModel:  # noqa: ARG002
        """Do nothing: the network stays in evaluation mode, and exported programs raise an error on this call."""
        return self

    def forward(self, images: Tensor, rows: Tensor | None = None) -> Tensor:
        """Score images.

        Args:
            images: N x C x H x W.
            rows: Index of the image that each was made from, N. If None, the images are the batch itself, or all are
                made from the image set by :meth:`only`.

        Returns:
            Scores, N.
        """
        rows = self._rows(len(images)) if rows is None else rows.to(self.images.device)
        output = self.output(images, rows)
        with watched(lambda: Given(tuple(images.shape), images.dtype, objective=self.objective.name)):
            scores = self.objective.select(rows)(output)
        if scores.requires_grad:
            scores = _CountBackward.apply(scores, lambda: self._count(self.backward_passes, rows))
        return scores

    def output(self, images: Tensor, rows: Tensor) -> Any:
        """The network's output for images, which are counted."""
        output = self.prepared(images, rows)
        self._count(self.forward_passes, rows)
        again, additional = self.prepared.not_counted()
        for _ in range(again):
            self._count(self.forward_passes, rows)
        if additional:  # the folded view was compared with the network on the batch's first image
            self.forward_passes[0] += additional
        return output

    @contextmanager
    def only(self, row: int) -> Iterator[None]:
        """Inside the context, images given without ``rows`` count as made from this one."""
        self._row = row
        try:
            yield
        finally:
            self._row = None

    @torch.no_grad()
    def scores(self, images: Tensor, rows: Tensor | None = None) -> Tensor:
        """Scores without gradient, in batches: N."""
        rows = self._rows(len(images)) if rows is None else rows.to(images.device)
        every = torch.arange(len(images), device=images.device)
        return torch.cat(Batches(self.batch_size).run(every, lambda chunk: self(images[chunk], rows[chunk])))

    def record(self) -> dict[str, Any]:
        """The record of how an explanation was made: objective, targets, passes, seconds and versions."""
        targets, reading = self.objective.targets, self.objective.reading
        return {
            "objective": self.objective.name,
            "output": "" if reading is None else reading.words(),
            "output_doubt": self.objective.output_doubt(),
            "target": None if targets is None else tuple(targets),
            "target_name": self.user_model.names(targets),
            "forward_passes": self.forward_passes.clone(),
            "backward_passes": self.backward_passes.clone(),
            "seconds": time.perf_counter() - self.started,
            "versions": {
                "maskstack": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
                "device": self.images.device.type,
            },
            "passes_run": self.prepared.how,
        }

    def _rows(self, count: int) -> Tensor:
        if self._row is None:
            return torch.arange(count, device=self.images.device)
        return torch.full((count,), self._row, device=self.images.device)

    def _count(self, passes: Tensor, rows: Tensor) -> None:
        # Added up on the device: reading the rows on the CPU would synchronise the GPU at every step.
        passes.index_add_(0, rows, torch.ones_like(rows))


class _CountBackward(torch.autograd.Function):
    """Returns the scores unchanged; calls a function when a gradient passes back through them."""

    @staticmethod
    def forward(context: Any, scores: Tensor, tell: Callable[[], None]) -> Tensor:
        context.tell = tell
        return scores.view_as(scores)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        context.tell()
        return gradient, None
