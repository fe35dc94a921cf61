"""Photos and file names as the images of an explainer."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar, cast

from PIL import Image
from torch import Tensor

from maskstack.explanation import Explanation
from maskstack.scoring import UserModel

Photo = Image.Image | str | Path
Images = Tensor | Photo | Sequence[Photo]
"""B x C x H x W, preprocessed for the network; or, for what ``load_model`` returned, photos or names of image files."""


class HasUserModel(Protocol):
    """An explainer of a network."""

    @property
    def user_model(self) -> UserModel:
        """The network, with its preprocessing where that is known."""


Self = TypeVar("Self", bound=HasUserModel)
Rest = ParamSpec("Rest")


def takes_photos(
    method: Callable[Concatenate[Self, Tensor, Rest], Explanation],
) -> Callable[Concatenate[Self, Images, Rest], Explanation]:
    """Let a method that explains a batch of tensors take photos as well.

    The explanation then has the geometry of the photos, so that it is drawn on them.

    Args:
        method: From an explainer, images B x C x H x W and other arguments to an explanation.
    """

    @functools.wraps(method)
    def on_photos(self: Self, images: Images, *args: Rest.args, **kwargs: Rest.kwargs) -> Explanation:
        if isinstance(images, Tensor):
            return method(self, images, *args, **kwargs)
        prepared, geometry = self.user_model.prepared(images)
        return dataclasses.replace(method(self, prepared, *args, **kwargs), geometry=geometry)

    # mypy wants the images by place only, but they may be given by name too.
    return cast(Callable[Concatenate[Self, Images, Rest], Explanation], on_photos)
