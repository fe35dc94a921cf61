"""A user's network prepared to be run: precision, memory format, compilation, folded batch norms."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from maskstack.scoring.arguments import Arguments
from maskstack.scoring.bn_folding import OtherPathError, PairFinder, View, agree, first_row
from maskstack.scoring.causes import Given
from maskstack.scoring.failures import watched, weights_dtype
from maskstack.scoring.own_randomness import OwnRandomness
from maskstack.scoring.randomness import RandomStream
from maskstack.scoring.reach import Reach
from maskstack.speed import PLAIN, Way

_PRECISION = {torch.float32: "fp32", torch.float64: "fp64", torch.float16: "fp16", torch.bfloat16: "bf16"}


class PreparedModel:
    """Calls a network on float32 images, in one :class:`~maskstack.speed.Way`.

    Folding uses two passes that every explanation makes anyway. The prediction (:meth:`first`) runs the unchanged
    network and is observed. The next call is the first that runs the folded view. If the view's output for an image
    agrees with the network's within rounding, all later calls use the view; otherwise they use the unchanged network.

    A network that changes the images it is given, as by ``images.sub_(mean)``, gets a copy of them.

    A network that draws random numbers draws them from its own stream, see
    :class:`~maskstack.scoring.own_randomness.OwnRandomness`.

    Args:
        model: Any callable from images B x C x H x W to an output.
        found: What it reaches; for messages and for the devices of its random numbers.
        arguments: Its further arguments, bound to the batch.
        stream: Where the network's random numbers come from.
        dtype: Data type of the network's images.
        way: How passes are run.

    Attributes:
        found: What the network reaches; None if it was not given.
        batch_statistics: Whether a batch norm was seen that normalises by the batch itself.
    """

    def __init__(
        self,
        model: Callable[[Tensor], Any],
        *,
        found: Reach | None = None,
        arguments: Arguments | None = None,
        stream: RandomStream | None = None,
        dtype: torch.dtype = torch.float32,
        way: Way = PLAIN,
    ) -> None:
        self.plain, self.model, self.way = model, _compiled(model, way) if way.compile else model, way
        self.dtype, self.fold = dtype, way.fold and not way.compile
        self._view: View | None = None
        self._sample: tuple[Tensor, list[Tensor]] | None = None
        self._extra_images = self._runs_lost = 0
        self.arguments = arguments or Arguments()
        self._randomness = OwnRandomness(stream or RandomStream(0), observable=not way.compile)
        self.found = found
        self.batch_statistics = False
        self._opaque = found is not None and not found.modules
        self._weights = weights_dtype(found.modules if found else ())
        self._accepted: tuple[int, ...] = ()
        self._changes_images: bool | None = None  # None before the first pass

    def __call__(self, images: Tensor, rows: Tensor | None = None) -> Any:
        """The network's output as it is.

        Args:
            images: N x C x H x W.
            rows: Index of the image that each was made from, N; needed for further arguments. None for 0 to N - 1.

        Raises:
            PassError: The network failed.
        """
        images = self._prepared(images)
        if self._view is not None and self._sample is not None:
            output = self._try(self._view, images, *self._sample)
            if self._view is not None:
                return output
            self._runs_lost += 1
        if self._view is not None:
            try:
                return self._run(self._view, images, rows)
            except OtherPathError:
                self._view = None
                self._runs_lost += 1
        return self._run(self.model, images, rows)

    @property
    def is_random(self) -> bool | None:
        """Whether the network draws random numbers; None before the first pass."""
        return self._randomness.is_random

    def not_counted(self) -> tuple[int, int]:
        """What ran beside the calls since this was last asked.

        Returns:
            How often the images of a call were run again, as through a view that was then rejected; and how many
            additional images were run to compare the view with the network.
        """
        found = self._runs_lost + self._randomness.runs_lost, self._extra_images
        self._runs_lost = self._randomness.runs_lost = self._extra_images = 0
        return found

    @property
    def folded(self) -> int:
        """Convolutions that have their batch norm folded into them, 0 where the network runs as it is."""
        return 0 if self._view is None else len(self._view.links)

    @property
    def how(self) -> str:
        """How the passes are run, such as ``fp32, channels last, 49 convolutions folded``."""
        parts = ["bf16" if self.way.half else _PRECISION.get(self.dtype, str(self.dtype).removeprefix("torch."))]
        parts += ["channels last"] if self.way.channels_last else []
        parts += [f"{self.folded} convolutions folded"] if self.folded else []
        parts += ["compiled"] if self.way.compile else []
        parts += ["CUDA graphs"] if self.way.graphs else []
        parts += ["random numbers drawn by the network"] if self.is_random else []
        parts += ["no module found in the function, so none was protected"] if self._opaque else []
        return ", ".join(parts)

    def first(self, images: Tensor, rows: Tensor | None = None) -> Any:
        """The output for the first images.

        Raises:
            PassError: The network failed.
        """
        return self._first_pass(self._prepared(images), rows)

    def _prepared(self, images: Tensor) -> Tensor:
        images = images.to(self.dtype)
        if self.way.channels_last and images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        return images

    def _run(self, model: Callable[..., Any], images: Tensor, rows: Tensor | None = None) -> Any:
        """A pass, with the network's random numbers drawn from its own stream."""
        return self._randomness.run(partial(self._pass, model, images, rows))

    def _pass(self, model: Callable[..., Any], images: Tensor, rows: Tensor | None) -> Any:
        more = self.arguments
        if more:
            more = more.select(torch.arange(len(images), device=images.device) if rows is None else rows)

        def given() -> Given:
            return Given(tuple(images.shape), images.dtype, self._weights, self._accepted)

        autocast = torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=self.way.half)
        own = images if self._changes_images is False else images.clone()
        with watched(given, OtherPathError), autocast:
            output = model(own, *more.positional, **more.named)
        if self._changes_images is None:
            self._changes_images = not torch.equal(own, images)
        if self.way.graphs:
            # The next pass writes its output to the same memory.
            output = tree_map_only(Tensor, Tensor.clone, output)
        self._accepted = tuple(images.shape)
        return output

    def _first_pass(self, images: Tensor, rows: Tensor | None) -> Any:
        """The network's own output; the first pass is observed, and the view is made from the recorded pairs."""
        if not self.fold or self._view is not None or not isinstance(self.model, nn.Module):
            # Not compiled yet, so that what it does can be observed.
            return self._run(self.plain, images, rows)
        finder = PairFinder(self.model)
        # The view is compared on one image, without the rows of further arguments.
        if not finder.can_fold or self.arguments:
            self.fold = False
            return self._run(self.model, images, rows)
        # A warning would name the finder as its location. It is suppressed here; later passes show the right location.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            output = self._run(finder.observe, images, rows)
        pairs = finder.pairs()
        self.fold = bool(pairs)
        if pairs:
            layout = torch.channels_last if self.way.channels_last else torch.contiguous_format
            self._view = View(self.model, pairs, layout=layout)
            self._sample = images[:1], [tensor.detach().clone() for tensor in first_row(output, len(images))]
        return output

    def _try(self, view: View, images: Tensor, image: Tensor, expected: list[Tensor]) -> Any:
        """The view's first output, which decides whether the view is used from now on."""
        known = torch.equal(images[:1], image)
        try:
            output = self._run(view, images)
            answer = output if known else self._run(view, image)
            self._extra_images += not known
        except (torch.OutOfMemoryError, MemoryError):
            raise
        # Code that inspects its own modules may raise any error on copies; then the network itself is used instead.
        except Exception:
            self._view = None
            return None
        self._sample = None
        if not agree(first_row(answer, len(images) if known else 1), expected, tolerance=self._rounding(images)):
            self._view = None
        return output

    def _rounding(self, images: Tensor) -> float:
        """Allowed difference between two orders of the same operations, as a share of the largest value."""
        if self.way.half or self.dtype in (torch.bfloat16, torch.float16):
            return 5e-2
        # Convolutions round to ten bits by default on CUDA (TF32).
        return 1e-2 if images.is_cuda and torch.backends.cudnn.allow_tf32 else 1e-3


def _compiled(model: Callable[..., Any], way: Way) -> Callable[..., Any]:
    """The network through ``torch.compile``, once for each shape of a batch."""
    run: Callable[..., Any] = torch.compile(model, dynamic=False, mode="reduce-overhead" if way.graphs else None)
    if not way.graphs:
        return run

    def begin(*arguments: Any, **named: Any) -> Any:
        # The output of the previous pass was copied, so its memory may be used again.
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return run(*arguments, **named)

    return begin
