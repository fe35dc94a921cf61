"""Annotated images and what is known of each."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, overload

from PIL import Image, ImageChops

from maskstack.datasets.regions import Region
from maskstack.errors import InputError
from maskstack.models import open_photo

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the upright picture; its top left corner is 0, 0."""

Point = tuple[float, float]
"""Across and down in pixels of the upright picture."""


@dataclass(frozen=True)
class AnnotatedImage:
    """A picture and where in it what is.

    Coordinates are pixels of the picture as :meth:`open` gives it, that is, turned upright as EXIF says; files
    without an EXIF orientation, which almost all data sets are made of, lie that way already.

    Attributes:
        path: Its file; None for a picture in memory, for which use :meth:`open`.
        name: Identifies it within the data set: the file's path relative to the pictures' folder, with slashes.
        label: Index of its class; None if unknown.
        class_name: What the data set calls the class; None if unknown.
        boxes: Around the objects of that class.
        parts: Place of each visible part.
        regions: The pixels of the objects of that class, read when :meth:`mask` is called.
        reader: Makes the picture where there is no file.
    """

    path: Path | None
    name: str
    label: int | None = None
    class_name: str | None = None
    boxes: tuple[Box, ...] = ()
    parts: Mapping[str, Point] = field(default_factory=dict, hash=False)
    regions: tuple[Region, ...] = ()
    reader: Callable[[], Image.Image] | None = field(default=None, compare=False, repr=False)

    def open(self) -> Image.Image:
        """The upright RGB picture.

        Raises:
            InputError: It cannot be read, see :func:`maskstack.models.open_photo`.
        """
        if self.reader is not None:
            return self.reader()
        if self.path is None:
            raise InputError(f"{self.name} has neither a file nor a reader; give it one")
        return open_photo(self.path)

    def mask(self, size: tuple[int, int]) -> Image.Image | None:
        """The pixels of the objects of its class.

        Args:
            size: Width and height of the picture in pixels.

        Returns:
            Mode L: 255 where an object is, else 0. None if there are no masks.

        Raises:
            InputError: A mask's file or numbers cannot be read.
        """
        drawn: Image.Image | None = None
        for region in self.regions:
            one = region.draw(size)
            drawn = one if drawn is None else ImageChops.lighter(drawn, one)
        return drawn


@dataclass(frozen=True)
class AnnotatedImages(Sequence[AnnotatedImage]):
    """A list of annotated images.

    Attributes:
        images: Them.
        class_names: Names in the order of the labels; empty if unknown.
        format: What the list was read from: ``folders``, ``imagenet``, ``csv``, ``coco``, ``cub``, ``voc`` or
            ``huggingface``.
        indices_given: Whether the labels were read as indices, so that they mean the network's classes as they are,
            rather than made by counting the data set's own names.
        unmatched: Names of the data set's classes that the network does not have, see
            :func:`maskstack.datasets.match_classes`; their images have no label.

    Raises:
        InputError: Two images have the same name, or a label is out of range.
    """

    images: tuple[AnnotatedImage, ...]
    class_names: tuple[str, ...] = ()
    format: str = ""
    indices_given: bool = False
    unmatched: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        name, times = next(iter(Counter(image.name for image in self.images).most_common(1)), ("", 0))
        if times > 1:
            raise InputError(f"{times} images are named {name}; name each differently")
        top = len(self.class_names)
        for image in self.images:
            if image.label is not None and (image.label < 0 or (top and image.label >= top)):
                classes = f"there are classes 0 to {top - 1}" if top else "they start at 0"
                raise InputError(f"{image.name} has the class index {image.label}, but {classes}")

    def __len__(self) -> int:
        return len(self.images)

    @overload
    def __getitem__(self, index: int) -> AnnotatedImage: ...
    @overload
    def __getitem__(self, index: slice) -> AnnotatedImages: ...
    def __getitem__(self, index: int | slice) -> AnnotatedImage | AnnotatedImages:
        if isinstance(index, slice):
            return replace(self, images=self.images[index])
        return self.images[index]

    def where(self, keep: Callable[[AnnotatedImage], bool]) -> AnnotatedImages:
        """Those for which a function says yes, such as ``lambda image: bool(image.boxes)``."""
        return replace(self, images=tuple(filter(keep, self.images)))

    def subset(self, count: int, seed: int = 0) -> AnnotatedImages:
        """Some of them, drawn at random; all if there are no more than that many.

        A smaller subset of the same seed is the beginning of a larger one, and the order in which the images were
        listed does not matter.

        Args:
            count: How many.
            seed: Of the draw.

        Raises:
            InputError: The count is below 1.
        """
        if count < 1:
            raise InputError(f"a subset of {count} images was asked for; it must have 1 at least")
        drawn = self._by_name()
        random.Random(seed).shuffle(drawn)
        return replace(self, images=tuple(drawn[:count]))

    def half(self, which: Literal["tuning", "reporting"]) -> AnnotatedImages:
        """The even (``tuning``) or odd (``reporting``) positions of the list sorted by name.

        Raises:
            InputError: It is called something else.
        """
        if which not in ("tuning", "reporting"):
            raise InputError(f"there is no half {which!r}; it must be tuning or reporting")
        return replace(self, images=tuple(self._by_name()[which == "reporting" :: 2]))

    def _by_name(self) -> list[AnnotatedImage]:
        return sorted(self.images, key=lambda image: image.name)
