"""What an explainer is given to explain: a network, what a class index means to it, and its class names."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from maskstack import objectives
from maskstack.errors import InputError, ModelError
from maskstack.explainers.network import Network
from maskstack.masks.batches import Batches
from maskstack.objectives import Objective, Target
from maskstack.outputs import find_tensor
from maskstack.version import __version__


@runtime_checkable
class HasModel(Protocol):
    """A network that comes with its class names, as ``load_model`` returns it."""

    @property
    def model(self) -> Callable[[Tensor], Any]: ...  # noqa: D102
    @property
    def class_names(self) -> Sequence[str]: ...  # noqa: D102


Model = Callable[[Tensor], Any] | HasModel
"""Any callable from images B x C x H x W to an output, usually an ``nn.Module``; or what ``load_model`` returned."""


@dataclass(frozen=True)
class Subject:
    """A network and how its answers are meant.

    Attributes:
        model: From images to an output.
        objective: What a class index means: a name of :data:`maskstack.objectives.NAMED`.
        class_names: In the order of the class indices; empty if unknown.
    """

    model: Callable[[Tensor], Any]
    objective: str
    class_names: tuple[str, ...]

    @classmethod
    def of(cls, model: Model, *, objective: str, class_names: Sequence[str] = ()) -> Subject:
        """Take the network out of what ``load_model`` returned, and check it.

        Raises:
            InputError: It is not callable, or there is no such objective.
        """
        if isinstance(model, HasModel) and not isinstance(model, torch.nn.Module):
            class_names = class_names or model.class_names
            model = model.model
        if not callable(model):
            raise InputError(f"a network is a callable from images to an output, not a {type(model).__name__}")
        if objective not in objectives.NAMED:
            raise InputError(f"objective is {objective!r}; it must be one of {', '.join(objectives.NAMED)}")
        return cls(model, objective, tuple(class_names))

    def goal(self, objective: Objective | Callable[[Any], Tensor] | Target) -> Objective:
        """The objective that a target, or a function of the output, stands for here."""
        if isinstance(objective, Objective):
            return objective
        if callable(objective) and not isinstance(objective, Tensor):
            return objectives.custom(objective, name=getattr(objective, "__name__", "custom"))
        return objectives.NAMED[self.objective](objective)

    def names(self, bound: Objective) -> tuple[str, ...] | None:
        """Name of each image's target, if the objective is about classes and these have names."""
        if bound.targets is None or not self.class_names:
            return None
        known = len(self.class_names)
        return tuple(self.class_names[t] if t < known else f"class {t}" for t in bound.targets)


def bind(network: Network, images: Tensor, goal: Objective, *, batch_size: int) -> Objective:
    """Predict once, which tells what the network cannot take, fills in targets and checks them.

    Raises:
        ModelError: The network does not take such images, or its output does not fit the objective.
        InputError: A target is out of range.
    """
    every = torch.arange(len(images), device=images.device)
    with torch.no_grad():
        outputs = Batches(batch_size).run(every, lambda chunk: network.first(images[chunk]))
    if not goal.wanted:
        return goal.bind(outputs[0], len(images))
    scores = torch.cat([objectives.class_scores(find_tensor(output)).float() for output in outputs])
    if len(scores) != len(images):
        raise ModelError(f"the network gave {len(scores)} answers for {len(images)} images; it must give one each")
    return goal.bind(scores, len(images))


def versions(device: torch.device) -> dict[str, str]:
    """What a result was made with."""
    return {
        "maskstack": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": device.type,
    }
