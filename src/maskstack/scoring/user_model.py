"""A user's network, which score of a class is explained, and the names of its classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from maskstack import checks, objectives
from maskstack.errors import InputError
from maskstack.objectives import Meaning, Objective, Target
from maskstack.objectives.classification import class_name
from maskstack.scoring.arguments import Arguments, WithArguments


@runtime_checkable
class HasModel(Protocol):
    """A network that comes with its class names, as ``load_model`` returns it."""

    @property
    def model(self) -> Callable[[Tensor], Any]: ...  # noqa: D102
    @property
    def class_names(self) -> Sequence[str]: ...  # noqa: D102


Model = Callable[..., Any] | HasModel | WithArguments
"""Any callable from images B x C x H x W to an output, usually an ``nn.Module``; or what ``load_model`` returned; or
what :func:`maskstack.with_arguments` made of one of them."""

Goal = Objective | Callable[[Any], Tensor] | Target
"""What to explain: an objective, a function from the output to one number per image, class indices, or None."""


@dataclass(frozen=True)
class UserModel:
    """A network, which score of a class is explained, and its class names.

    Attributes:
        model: From images to an output.
        meaning: Which score of a class is explained: a name of :data:`maskstack.objectives.NAMED`.
        class_names: Class names in the order of the class indices; empty if unknown.
        arguments: What the network is called with besides the images.
    """

    model: Callable[..., Any]
    meaning: Meaning
    class_names: tuple[str, ...]
    arguments: Arguments = field(default_factory=Arguments)

    @classmethod
    def of(cls, model: Model, *, meaning: Meaning, class_names: Sequence[str] = ()) -> UserModel:
        """Make one from a network, or from what ``load_model`` returned, and check it.

        Raises:
            InputError: The network is not callable, or the meaning is unknown.
        """
        arguments = model.arguments if isinstance(model, WithArguments) else Arguments()
        if isinstance(model, WithArguments):
            model = model.model
        if isinstance(model, HasModel) and not isinstance(model, torch.nn.Module):
            class_names = class_names or model.class_names
            model = model.model
        if not callable(model):
            raise InputError(f"the network is a {type(model).__name__}; give a callable from images to an output")
        checks.one_of("objective", meaning, objectives.NAMED)
        return cls(model, meaning, tuple(class_names), arguments)

    def with_(self, more: Any) -> WithArguments:
        """The network with its own arguments and Captum's ``additional_forward_args``."""
        positional = () if more is None else more if isinstance(more, tuple) else (more,)
        own = self.arguments
        return WithArguments(self.model, Arguments((*own.positional, *positional), own.named))

    def objective(self, goal: Goal) -> Objective:
        """The objective that a class index, None or a function of the output stands for."""
        if isinstance(goal, Objective):
            return goal
        if callable(goal) and not isinstance(goal, Tensor):
            return objectives.custom(goal, name=getattr(goal, "__name__", "custom"))
        return objectives.NAMED[self.meaning](goal)

    def names(self, targets: Sequence[int] | None) -> tuple[str, ...] | None:
        """Name of each image's target, if the objective is about classes and these have names."""
        if targets is None or not self.class_names:
            return None
        return tuple(class_name(self.class_names, target) for target in targets)
