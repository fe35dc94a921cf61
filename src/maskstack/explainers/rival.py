"""What the methods beside MDM share: checked options, the call, the seed, and working through a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskstack.errors import InputError, ModelError
from maskstack.explainers.attribute import Maps, explain
from maskstack.explainers.scored import ScoredNetwork
from maskstack.explainers.subject import Model, Subject
from maskstack.explanation import Explanation
from maskstack.objectives import Objective, Target

PREDICTIONS = 2
"""Forward passes that every method spends on an image itself: its prediction and its score."""


class Rival(ABC):
    """An explainer that gives only maps.

    Args:
        method: Its name, for the result.
        model: The network, or what ``load_model`` returned.
        objective: What a class index means: a name of :data:`maskstack.objectives.NAMED`.
        batch_size: Images in one pass at most.
        class_names: Names of the classes, for the result.
        settings: The method's own options, for the result; what JSON can hold.

    Raises:
        InputError: There is no such objective, the model is not callable or the batch size is none.
    """

    def __init__(
        self,
        method: str,
        model: Model,
        *,
        objective: str,
        batch_size: int,
        class_names: Sequence[str],
        settings: Mapping[str, Any],
    ) -> None:
        check_whole("batch_size", batch_size, least=1)
        self.method, self.batch_size = method, batch_size
        self.subject = Subject.of(model, objective=objective, class_names=class_names)
        self.settings = {**settings, "batch_size": batch_size}

    def __call__(
        self, images: Tensor, objective: Objective | Callable[[Any], Tensor] | Target = None, /
    ) -> Explanation:
        """Explain a batch, see :func:`maskstack.explainers.attribute.explain`.

        Raises:
            InputError: The images or the target cannot be used.
            ModelError: The network's output cannot be read, or it lacks the gradient that the method needs.
        """
        settings, size = self.settings, self.batch_size
        return explain(
            self._maps, self.subject, images, objective, method=self.method, settings=settings, batch_size=size
        )

    @abstractmethod
    def cost(self, images: int, *, size: tuple[int, int] = (224, 224)) -> dict[str, int]:
        """Forward and backward passes that so many images of this height and width take at most."""

    @abstractmethod
    def _maps(self, scored: ScoredNetwork, images: Tensor) -> Maps:
        """The method itself: from images B x C x H x W, float32, to their maps."""


class OneByOne(Rival):
    """A method that takes one image at a time, as another library's random draws would differ in company."""

    def _maps(self, scored: ScoredNetwork, images: Tensor) -> Maps:
        found = []
        for row, image in enumerate(images):
            with scored.only(row), seeded(self.settings.get("seed", 0), images.device):
                found.append(self._map(scored, image.unsqueeze(0)).detach())
        return Maps(torch.stack(found))

    @abstractmethod
    def _map(self, scored: ScoredNetwork, image: Tensor) -> Tensor:
        """The map, H x W, of one image 1 x C x H x W."""


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Within, the global random generators of torch and numpy start from the seed; after, they are as they were."""
    before = np.random.get_state()
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        # Not torch.manual_seed, which would also seed the devices that are not put back.
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(before)


@contextmanager
def gradient_expected() -> Iterator[None]:
    """Within, torch's complaint that there is nothing to differentiate becomes a sentence.

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


def check_whole(name: str, value: object, *, least: int) -> None:
    """Check an option that counts something.

    Raises:
        InputError: It is no whole number from ``least`` on, or too large for a seed.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**32:
        raise InputError(f"{name} is {value!r}; it must be a whole number from {least} to {2**32 - 1}")


def check_share(name: str, value: object, *, zero: bool = False, one: bool = False) -> None:
    """Check an option between 0 and 1; whether these two are allowed says the caller.

    Raises:
        InputError: It is no number, or outside.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, int | float) and number and (0 < value < 1 or (zero and value == 0) or (one and value == 1)):
        return
    raise InputError(f"{name} is {value!r}; it must be a number in {'[' if zero else '('}0, 1{']' if one else ')'}")
