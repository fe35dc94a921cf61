"""Photos as they come from a browser."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from maskstack.errors import InputError
from maskstack.models import open_photo


def open_upload(payload: Mapping[str, Any] | None, *, max_pixels: int) -> tuple[str, Path, Image.Image] | None:
    """Open what was uploaded, pasted or picked.

    Args:
        payload: What the page sent of it, not yet looked into; None if there is no photo.
        max_pixels: Largest width x height.

    Returns:
        The photo's name, its file on this machine and the photo; None if there is none.

    Raises:
        InputError: It is no picture, damaged, or too large; the sentence names the file as its owner knows it.
    """
    if not payload or not payload.get("path"):
        return None
    path = Path(payload["path"])
    name = Path(payload.get("orig_name") or path.name).name
    try:
        return name, path, open_photo(path, max_pixels=max_pixels)
    except InputError as error:
        raise InputError(str(error).replace(str(path), name)) from error
