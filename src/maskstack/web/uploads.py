"""Photos that a browser uploaded."""

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
    """A file that a browser uploaded.

    Attributes:
        name: File name on the user's machine.
        path: Path on this machine.
    """

    name: str
    path: Path

    @classmethod
    def of(cls, payload: Mapping[str, Any] | None, root: Path) -> Upload | None:
        """The upload that a payload names, not opened yet; None if there is none.

        A request that does not come from the page can name any path. Gradio checks paths only in payloads that are
        marked as files, so the path is checked here, before the file is opened, remembered or removed.

        Args:
            payload: What the request holds.
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
            max_pixels: Maximum width x height.

        Raises:
            InputError: The file is not a picture, is damaged, or is too large; the message names the user's file.
        """
        try:
            return open_photo(self.path, max_pixels=max_pixels)
        except InputError as error:
            raise InputError(str(error).replace(str(self.path), self.name)) from error
