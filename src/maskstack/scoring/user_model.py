"""A user's network, which score of a class is explained, and the names of its classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from maskstack import checks, objectives
from maskstack.class_names import find_class
from maskstack.errors import InputError
from maskstack.geometry import Geometry
from maskstack.objectives import Meaning, Objective, Output, Target
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

Goal = Objective | Callable[[Any], Tensor] | Target | str | Sequence[str]
"""What to explain: an objective, a function from the output to one number per image, classes (index or name), None."""

Prepare = Callable[[Any], tuple[Tensor, tuple[Geometry | None, ...]]]
"""From photos or file names to the network's input, B x C x H x W, and the geometry of each photo."""


@dataclass(frozen=True)
class UserModel:
    """A network, which score of a class is explained, and its class names.

    Attributes:
        model: From images to an output.
        meaning: Which score of a class is explained: a name of :data:`maskstack.objectives.NAMED`.
        class_names: Class names in the order of the class indices; empty if unknown.
        prepare: Makes the network's input from photos; None if the preprocessing is unknown.
        output: Which output is explained, and how it is read; None to find out.
        arguments: What the network is called with besides the images.
    """

    model: Callable[..., Any]
    meaning: Meaning
    class_names: tuple[str, ...]
    prepare: Prepare | None = None
    output: Output = None
    arguments: Arguments = field(default_factory=Arguments)

    @classmethod
    def of(cls, model: Model, *, meaning: Meaning, class_names: Sequence[str] = (), output: Output = None) -> UserModel:
        """Make one from a network, or from what ``load_model`` returned, and check it.

        Raises:
            InputError: The network is not callable, the meaning is unknown, or the output is not a place or a word.
        """
        arguments = model.arguments if isinstance(model, WithArguments) else Arguments()
        if isinstance(model, WithArguments):
            model = model.model
        prepare: Prepare | None = getattr(model, "prepare_photos", None)
        if isinstance(model, HasModel) and not isinstance(model, torch.nn.Module):
            class_names = class_names or model.class_names
            output = getattr(model, "output", None) if output is None else output
            model = model.model
        function = _callable(model)
        checks.one_of("objective", meaning, objectives.NAMED)
        if isinstance(output, bool) or not isinstance(output, int | str | None):
            kinds = ", ".join(objectives.KINDS)
            raise InputError(f"output is {output!r}; give the place or the name of an output, or a kind: {kinds}")
        return cls(function, meaning, tuple(class_names), prepare, output, arguments)

    def with_(self, more: Any) -> WithArguments:
        """The network with its own arguments and Captum's ``additional_forward_args``."""
        positional = () if more is None else more if isinstance(more, tuple) else (more,)
        own = self.arguments
        return WithArguments(self.model, Arguments((*own.positional, *positional), own.named))

    def objective(self, goal: Goal) -> Objective:
        """The objective that a class index or name, None or a function of the output stands for.

        Raises:
            InputError: There is no class of a name.
        """
        if isinstance(goal, Objective):
            return goal
        if callable(goal) and not isinstance(goal, Tensor):
            return objectives.custom(goal, name=getattr(goal, "__name__", "custom"))
        return objectives.NAMED[self.meaning](self.classes(goal))

    def classes(self, target: Target | str | Sequence[str]) -> Target:
        """The class indices that class names stand for; anything else is returned as it is.

        Raises:
            InputError: There is no class of a name; the message suggests similar ones.
        """
        if isinstance(target, str):
            return find_class(self.class_names, target)
        if isinstance(target, Sequence) and any(isinstance(each, str) for each in target):
            return [find_class(self.class_names, each) if isinstance(each, str) else int(each) for each in target]
        return target  # type: ignore[return-value]

    def prepared(self, photos: Any) -> tuple[Tensor, tuple[Geometry | None, ...]]:
        """The network's input for photos, and the geometry of each.

        Args:
            photos: PIL image, file name, or a list of them.

        Raises:
            InputError: The preprocessing is unknown, or a photo cannot be read.
        """
        if self.prepare is None:
            raise InputError(
                f"the images are of type {type(photos).__name__}; give a tensor B x C x H x W, or load the network "
                "with load_model, which prepares photos and files"
            )
        return self.prepare(photos)

    def names(self, targets: Sequence[int] | None) -> tuple[str, ...] | None:
        """Name of each image's target, if the objective is about classes and these have names."""
        if targets is None or not self.class_names:
            return None
        return tuple(class_name(self.class_names, target) for target in targets)


def _callable(model: Any) -> Callable[..., Any]:
    """The network, if it can be called.

    Raises:
        InputError: It cannot, or it is a class whose objects can.
    """
    if isinstance(model, type):
        raise InputError(f"the network is the class {model.__name__} itself; make one, such as {model.__name__}()")
    if callable(model):
        return model  # type: ignore[no-any-return]
    kind = type(model).__name__
    if isinstance(model, str):
        raise InputError(f"the network is the text {model!r}; load it first: maskstack.load_model({model!r})")
    if isinstance(model, Mapping):
        raise InputError(f"the network is a mapping ({kind}) of weights; build the network and call load_state_dict()")
    raise InputError(f"the network is of type {kind}; give a callable from images to an output")
