"""Photos as they come from a browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from maskstack.errors import InputError
from maskstack.models import open_photo


@dataclass(frozen=True)
class Upload:
    """A file that a browser sent.

    Attributes:
        name: As its owner knows it.
        path: On this machine.
    """

    name: str
    path: Path

    @classmethod
    def of(cls, payload: Mapping[str, Any] | None, root: Path) -> Upload | None:
        """What the page sent of a photo, not yet looked into; None if there is none.

        Whoever asks without the page can send any path. Gradio checks it only in payloads that are marked as files, so
        it is checked here, before anything is opened, remembered or removed.

        Args:
            payload: What came.
            root: The server's own folder of uploads.

        Raises:
            InputError: The file is not one that was uploaded here.
        """
        if not isinstance(payload, Mapping) or not payload.get("path"):
            return None
        path = Path(str(payload["path"])).resolve()
        if not path.is_relative_to(root.resolve()) or not path.is_file():
            raise InputError("this photo was not uploaded here; choose it again")
        return cls(Path(str(payload.get("orig_name") or path.name)).name, path)

    def open(self, *, max_pixels: int) -> Image.Image:
        """The photo.

        Args:
            max_pixels: Largest width x height.

        Raises:
            InputError: It is no picture, damaged, or too large; the sentence names the file as its owner knows it.
        """
        try:
            return open_photo(self.path, max_pixels=max_pixels)
        except InputError as error:
            raise InputError(str(error).replace(str(self.path), self.name)) from error
