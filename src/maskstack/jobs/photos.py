"""What every job on photos is asked for: the photos, the network's output, the settings, and where results go."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from PIL import Image
from torch import Tensor

from maskstack.checks import check_name
from maskstack.errors import InputError
from maskstack.explainers import MDM
from maskstack.jobs.listing import photo_files
from maskstack.jobs.targets import PhotoTarget
from maskstack.masks.presets import Preset
from maskstack.models import LoadedModel, open_photo
from maskstack.models.levels import read_page
from maskstack.models.photos import check_file
from maskstack.objectives import Meaning

_Read = TypeVar("_Read")


@dataclass(frozen=True, kw_only=True)
class PhotosRequest:
    """What every job on photos is asked for.

    Attributes:
        photos: Image files, and folders of them.
        target: Class name or index, or ``top1`` for the predicted class.
        out: Folder for the results.
        preset: Name of the settings to start from.
        settings: Changes to the preset.
        resume: Whether to skip photos with finished results that fit the request.
        device: Name of a device, or ``auto``.
        output: Which output is explained, and what it is, see :class:`maskstack.MDM`; empty to find out.
        page: Page, frame or slice of each file, from 0; empty for the first, or the middle slice of a volume.
        window: Centre and width of the grey values that are shown, such as ``40/400``; empty for the file's own.
    """

    photos: tuple[str, ...]
    target: str = "top1"
    out: Path
    preset: str = "default"
    settings: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = False
    device: str = "auto"
    output: str = ""
    page: str = ""
    window: str = ""

    @property
    def opening(self) -> dict[str, str]:
        """Notes that say how a file is opened, so that it can be opened again in the same way; empty by default."""
        return {name: text for name, text in (("page", self.page), ("window", self.window)) if text}

    def open_photo(self, file: str) -> Image.Image:
        """One photo, upright.

        Raises:
            MaskstackError: The file cannot be read, or has no such page.
        """
        return open_photo(file, page=read_page(self.page), window=self.window or None)

    def open_photos(self, warn: Callable[[str], None]) -> Iterator[tuple[str, Image.Image]]:
        """Each photo with its file, one after the other, so that only one has to be held.

        Args:
            warn: Called with a sentence about each damaged file of a folder, which is left out.

        Raises:
            MaskstackError: A file that was named cannot be read, or has no such page; or no file of a folder can.
        """
        read_page(self.page)
        return self.opened(photo_files(self.photos), self.open_photo, warn)

    def opened(
        self, files: Sequence[str], read: Callable[[str], _Read], warn: Callable[[str], None]
    ) -> Iterator[tuple[str, _Read]]:
        """What was read from each file, one after the other; files of a folder that cannot be read are left out.

        Args:
            files: The files.
            read: Reads one file.
            warn: Called with a sentence about each file of a folder that is damaged, or whose name is not text.

        Raises:
            MaskstackError: A file that was named cannot be read; or no file of a folder can.
        """
        named = set(self.photos)
        for file in files:
            if file in named:
                check_name(file)
                check_file(Path(file))
        opened = 0
        for file in files:
            try:
                check_name(file)
                found = read(file)
            except InputError as error:
                if file in named or (file == files[-1] and not opened):
                    raise
                warn(f"left out: {error}")
                continue
            opened += 1
            yield file, found

    def read(self, target: PhotoTarget, net: LoadedModel, device: torch.device) -> tuple[Image.Image, Tensor]:
        """A target's photo, opened again, and the network's input, C x H x W.

        Raises:
            MaskstackError: The file can no longer be read.
        """
        photo = self.open_photo(target.photo)
        return photo, net.preprocess(photo).to(device)

    def explainer(self, net: LoadedModel, objective: str = "probability") -> MDM:
        """MDM for a network, with the settings asked for.

        Raises:
            MaskstackError: A setting cannot be used.
        """
        settings = cast(Any, self.settings)
        return MDM(
            net,
            preset=cast(Preset, self.preset),
            objective=cast(Meaning, objective),
            output=read_output(self.output),
            **settings,
        )


def read_output(text: str) -> int | str | None:
    """The place or the name of an output; None where the text is empty.

    >>> read_output("1"), read_output("aux:probabilities"), read_output("")
    (1, 'aux:probabilities', None)
    """
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else text or None
