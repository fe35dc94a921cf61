"""The protocol of all explainers, and the base class of methods that give only maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypedDict, Unpack

import torch
from torch import Tensor
from torch.nn import functional

from maskstack import checks
from maskstack.defaults import with_usual_defaults
from maskstack.errors import InputError, ModelError
from maskstack.explainers.photos import takes_photos
from maskstack.explanation import Explanation
from maskstack.objectives import Meaning, Output
from maskstack.reliability import Trust
from maskstack.scoring import Goal, Model, ScoredModel, UserModel, check_images, scoring
from maskstack.scoring.randomness import RandomStream, accelerators

NOT_FINITE = "the method gave NaN or infinite values"
"""The problem of a map whose values are not finite; they are 0 in the explanation."""

PREDICTIONS = 2
"""Forward passes per image that every map method needs besides its own: the prediction and the score."""


class Explainer(Protocol):
    """A callable that takes images, B x C x H x W, and an objective, and returns an explanation."""

    def __call__(self, images: Tensor, objective: Goal = None, /) -> Explanation:
        """Explain the objective (or the class, or the predicted class) on each image."""


class CostedExplainer(Explainer, Protocol):
    """An explainer that reports its cost before it starts."""

    def cost(self, images: int) -> dict[str, int]:
        """Maximum numbers of forward and backward passes for a number of images."""


class MapOptions(TypedDict, total=False):
    """The options of every method that gives only maps."""

    objective: Meaning
    batch_size: int
    class_names: Sequence[str]
    output: Output


@dataclass(frozen=True)
class Maps:
    """The maps of a method for a batch.

    Attributes:
        values: B x h x w, any real numbers, high where the evidence is; upsampled where coarser than the image.
        grids: The method's own maps before upsampling, if they are coarser than the image: B x h x w each.
        notes: Information for the reader of the result, such as the layer that was used.
    """

    values: Tensor
    grids: tuple[Tensor, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


class MapExplainer(ABC):
    """An explainer that gives only maps.

    Args:
        method: Its name, for the result.
        model: The network, or what ``load_model`` returned. It comes back exactly as it was.
        settings: The method's own options, for the result; what JSON can hold.
        forward: Maximum number of forward passes of the method itself for an image.
        backward: Maximum number of backward passes of the method itself for an image.
        meaning: Which score of a class is explained by default: a name of :data:`maskstack.objectives.NAMED`.
        **options: ``objective`` says what a class index means; ``batch_size`` is the maximum number of images in one
            pass, 32 by default; ``class_names`` are for the result; ``output`` is as for :class:`maskstack.MDM`.

    Raises:
        InputError: There is no such objective or option, the model is not callable or the batch size is not a positive
            number.
    """

    takes_volumes: ClassVar[bool] = False
    """Whether the method also explains volumes, B x C x D x H x W."""

    @with_usual_defaults
    def __init__(
        self,
        method: str,
        model: Model,
        settings: Mapping[str, Any],
        *,
        forward: int = 0,
        backward: int = 0,
        meaning: Meaning = "probability",
        **options: Unpack[MapOptions],
    ) -> None:
        checks.known_options(method, options, (*settings, *MapOptions.__annotations__))
        self.method, self.forward, self.backward = method, forward, backward
        self.batch_size = options.get("batch_size", 32)
        checks.whole("batch_size", self.batch_size, least=1)
        meaning = options.get("objective", meaning)
        self.user_model = UserModel.of(
            model, meaning=meaning, class_names=options.get("class_names", ()), output=options.get("output")
        )
        self.settings = {**settings, "batch_size": self.batch_size}

    @takes_photos
    @with_usual_defaults
    def __call__(self, images: Tensor, objective: Goal = None, /) -> Explanation:
        """Explain a batch, see :class:`Explainer`.

        Args:
            images: B x C x H x W, floating point, preprocessed for the network; or, for what ``load_model`` returned, a
                PIL image, the name of an image file, or a list of them.
            objective: See :class:`maskstack.MDM`.

        Returns:
            Maps scaled to [0, 1] each; ``stack`` is the same map, as there are no masks.

        Raises:
            InputError: The images or the target cannot be used.
            ModelError: The network's output cannot be read, or it lacks the gradient that the method needs.
        """
        check_images(images)
        if images.ndim == 5 and not self.takes_volumes:
            raise InputError(
                f"{self.method} explains images B x C x H x W, not volumes; use mdm, hdm, ig, smoothgrad, "
                "gradientshap, occlusion, random or centre"
            )
        seed = self.settings.get("seed", 0)
        with scoring(self.user_model, images, objective, batch_size=self.batch_size, seed=seed) as scored:
            before = scored.scores(scored.images)
            with torch.enable_grad():
                found = self._maps(scored, scored.images)
        values = found.values.detach().float()
        saliency = _scaled(values, tuple(images.shape[2:]))
        several = len(images)
        return Explanation(
            saliency=saliency,
            stack=saliency,
            opening=saliency.new_zeros(several),
            spread=torch.zeros_like(saliency),
            masks=saliency.new_empty(several, 0, *saliency.shape[2:]),
            grids=tuple(grid.detach().float() for grid in found.grids),
            method=self.method,
            score_before=before,
            score_hidden=saliency.new_empty(several, 0),
            score_under_masks=saliency.new_empty(several, 0),
            score_under_stack=saliency.new_full((several,), torch.nan),
            steps=torch.empty(several, 0, dtype=torch.int64, device=saliency.device),
            settings=dict(self.settings),
            trust=Trust.not_measured(tuple(_problem(value) for value in values)),
            notes=dict(found.notes),
            **scored.record(),
        ).to(images.device)

    def cost(self, images: int, *, size: tuple[int, int] | None = None) -> dict[str, int]:
        """Maximum numbers of forward and backward passes for a number of images of this height and width."""
        forward, backward = self._passes(size or (224, 224))
        return {"forward": images * (forward + PREDICTIONS), "backward": images * backward}

    def _passes(self, _size: tuple[int, int]) -> tuple[int, int]:
        """The method's own passes for an image, where they depend on its size."""
        return self.forward, self.backward

    @abstractmethod
    def _maps(self, scored: ScoredModel, images: Tensor) -> Maps:
        """The method itself: from images B x C x H x W, float32, to their maps."""


class OneByOne(MapExplainer):
    """A method that explains one image at a time, because another library's random numbers depend on the batch."""

    def _maps(self, scored: ScoredModel, images: Tensor) -> Maps:
        found = []
        for row, image in enumerate(images):
            stream = RandomStream(self.settings.get("seed", 0), accelerators([images.device]))
            with scored.only(row), stream.drawn():
                found.append(self._map(scored, image.unsqueeze(0)).detach())
        return Maps(torch.stack(found))

    @abstractmethod
    def _map(self, scored: ScoredModel, image: Tensor) -> Tensor:
        """The map, H x W, of one image 1 x C x H x W."""


@contextmanager
def gradient_expected() -> Iterator[None]:
    """Inside the context, torch's errors about missing gradients become a readable error.

    Raises:
        ModelError: No gradient reaches the image.
    """
    try:
        yield
    except RuntimeError as error:
        if not any(sign in str(error) for sign in ("does not require grad", "not have been used in the graph")):
            raise
        raise ModelError(
            "no gradient reaches the image through this network and objective; use a method that needs none, such as "
            "rise or occlusion"
        ) from error


def _scaled(values: Tensor, size: tuple[int, ...]) -> Tensor:
    """Maps of the images' size, each from 0 to 1: B x 1 x H x W. A map that is the same everywhere becomes zero."""
    values = values.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).unsqueeze(1)
    if values.shape[2:] != size:
        mode = "bilinear" if len(size) == 2 else "trilinear"
        values = functional.interpolate(values, size=size, mode=mode, align_corners=False)
    whole = tuple(range(1, values.ndim))
    low, high = values.amin(dim=whole, keepdim=True), values.amax(dim=whole, keepdim=True)
    return (values - low) / (high - low).clamp_min(torch.finfo(torch.float32).tiny)


def _problem(values: Tensor) -> str | None:
    if not torch.isfinite(values).all():
        return NOT_FINITE
    if values.amax() == values.amin():
        return "the map is the same everywhere"
    return None
