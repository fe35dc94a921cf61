"""Annotated images and lists of them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import overload

from PIL import Image, ImageChops

from maskstack.checks import check_name
from maskstack.datasets.regions import Region
from maskstack.errors import InputError
from maskstack.models import open_photo

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the upright image, whose top left corner is 0, 0."""

Point = tuple[float, float]
"""x and y in pixels of the upright image."""


@dataclass(frozen=True)
class AnnotatedImage:
    """An image with its class and the positions of its objects.

    Coordinates are pixels of the image that :meth:`open` returns, which is rotated upright by its EXIF orientation.
    Most data sets consist of files without an EXIF orientation; these are upright already.

    Attributes:
        path: File of the image; None for an image in memory.
        name: Name within the data set: the file's path relative to the images' folder, with slashes.
        label: Index of the image's class; None if unknown.
        class_name: Name of the class in the data set; None if unknown.
        boxes: Boxes of the objects of that class.
        parts: Position of each visible part by its name.
        regions: Masks of the objects of that class, which are read when :meth:`mask` is called.
        reader: Function that returns the image if there is no file.
        size: Width and height of the image that the coordinates are for; None if the data set does not say.
    """

    path: Path | None
    name: str
    label: int | None = None
    class_name: str | None = None
    boxes: tuple[Box, ...] = ()
    parts: Mapping[str, Point] = field(default_factory=dict, hash=False)
    regions: tuple[Region, ...] = ()
    reader: Callable[[], Image.Image] | None = field(default=None, compare=False, repr=False)
    size: tuple[int, int] | None = None

    def open(self) -> Image.Image:
        """Read the upright RGB image.

        Raises:
            InputError: The image cannot be read, see :func:`maskstack.models.open_photo`.
        """
        if self.reader is not None:
            return self.reader()
        if self.path is None:
            raise InputError(f"{self.name} has neither a file nor a reader; give it one")
        return open_photo(self.path)

    def check_size(self, size: tuple[int, int]) -> None:
        """Check that an image is as large as the one that was annotated, if it has annotations.

        Args:
            size: Width and height of the upright image.

        Raises:
            InputError: The data set says another size, so that its coordinates would be wrong.
        """
        annotations = (*self.boxes, *self.parts, *self.regions)
        if not annotations or self.size in (None, size):
            return
        if self.size == size[::-1]:
            remedy = "they ignore its EXIF orientation; remove that from the file, or turn the annotations"
        else:
            remedy = "resize the image, or correct the annotations"
        said, found = (f"{width} x {height}" for width, height in (self.size, size))
        raise InputError(f"the annotations of {self.name} are for {said} pixels, but upright it has {found}: {remedy}")

    def mask(self, size: tuple[int, int]) -> Image.Image | None:
        """Draw the mask of all objects of the image's class.

        Args:
            size: Width and height of the image in pixels.

        Returns:
            Image of mode L, 255 inside of an object, else 0; None if there are no masks.

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
        images: The images.
        class_names: Names in the order of the labels; empty if unknown.
        format: Format of the data set: ``folders``, ``imagenet``, ``csv``, ``coco``, ``cub``, ``voc`` or
            ``huggingface``.
        indices_given: Whether the data set gives the labels as indices, which are the network's class indices, rather
            than as names.
        unmatched: Names of classes of the data set that the network does not have, see
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
        for image in self.images:
            check_name(image.name)
        top = len(self.class_names)
        for image in self.images:
            if image.label is not None and (image.label < 0 or (top and image.label >= top)):
                classes = f"there are classes 0 to {top - 1}" if top else "indices start at 0"
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
        """The images for which a function returns true, such as ``lambda image: bool(image.boxes)``."""
        return replace(self, images=tuple(filter(keep, self.images)))

    def subset(self, count: int, seed: int = 0) -> AnnotatedImages:
        """A random subset; all images if there are not more than ``count``.

        A smaller subset with the same seed is the beginning of a larger one. The order of the images in the list does
        not matter.

        Args:
            count: Number of images.
            seed: Seed of the random order.

        Raises:
            InputError: The count is below 1.
        """
        if count < 1:
            raise InputError(f"a subset of {count} images is not possible; it must have at least 1")
        drawn = self._by_name()
        random.Random(seed).shuffle(drawn)
        return replace(self, images=tuple(drawn[:count]))

    def half(self, which: str) -> AnnotatedImages:
        """The images at even (``tuning``) or odd (``reporting``) positions of the list sorted by name.

        Raises:
            InputError: ``which`` is another word.
        """
        if which not in ("tuning", "reporting"):
            raise InputError(f"the half is {which!r}; it must be tuning or reporting")
        return replace(self, images=tuple(self._by_name()[which == "reporting" :: 2]))

    def _by_name(self) -> list[AnnotatedImage]:
        return sorted(self.images, key=lambda image: image.name)
