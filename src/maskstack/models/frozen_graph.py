"""What a graph that was frozen to a file says of the images it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maskstack.errors import InputError, ModelError
from maskstack.models.options import adjusted
from maskstack.models.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess, grey_normalisation
from maskstack.models.spec import Spec


@dataclass(frozen=True)
class GraphInput:
    """The input of a frozen graph; None is what it leaves open.

    Attributes:
        source: The file, for messages.
        batch: Number of images.
        channels: 1 or 3.
        height: In pixels.
        width: In pixels.
    """

    source: str
    batch: int | None
    channels: int | None
    height: int | None
    width: int | None

    @classmethod
    def of(cls, source: str, dims: Sequence[int | None]) -> GraphInput:
        """From the dimensions of the input.

        Raises:
            ModelError: They are not those of images, B x C x H x W.
        """
        shape = " x ".join("?" if dim is None else str(dim) for dim in dims)
        if len(dims) != 4:
            raise ModelError(f"{source} takes {shape or 'a number'}; only images, B x C x H x W, can be explained")
        if dims[1] not in (None, 1, 3):
            last = "; it seems to take channels last, so export it with channels first" if dims[3] in (1, 3) else ""
            raise ModelError(f"{source} takes {shape}, not images of 1 or 3 channels, B x C x H x W{last}")
        return cls(source, *dims)


def graph_preprocess(taken: GraphInput, spec: Spec) -> Preprocess:
    """The preprocessing for a graph: its own size, the spec's keys, else ImageNet's mean and std.

    Raises:
        InputError: The graph leaves the size open and the spec gives none, or they contradict each other.
    """
    grey = taken.channels == 1
    start = Preprocess(
        channels=1 if grey else 3,
        mean=grey_normalisation(IMAGENET_MEAN) if grey else IMAGENET_MEAN,
        std=grey_normalisation(IMAGENET_STD) if grey else IMAGENET_STD,
    )
    if taken.height is not None and taken.width is not None:
        start = Preprocess(size=(taken.height, taken.width), channels=start.channels, mean=start.mean, std=start.std)
    elif "size" not in spec.options:
        raise InputError(f"{taken.source} leaves the size of its images open; add it: {spec.text},size=224")
    wanted = adjusted(start, spec.options)
    fixed = (taken.height or wanted.size[0], taken.width or wanted.size[1], taken.channels or wanted.channels)
    if (*wanted.size, wanted.channels) != fixed:
        raise InputError(
            f"{taken.source} takes images of {fixed[0]} x {fixed[1]} and {fixed[2]} channels only; "
            "leave out size and channels"
        )
    return wanted
