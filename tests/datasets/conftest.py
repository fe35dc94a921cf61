"""Small photographs for data sets, and the folder of real data."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from maskstack.datasets import AnnotatedImage


@pytest.fixture(scope="session")
def cat() -> Image.Image:
    photos = pytest.importorskip("skimage.data", reason="scikit-image has the photographs")
    return Image.fromarray(photos.chelsea())


@pytest.fixture
def save(cat, tmp_path) -> Callable[..., Path]:
    """Function that saves a small photograph of a cat in the test's folder."""

    def save(name: str, size: tuple[int, int] = (90, 60)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cat.resize(size).save(path)
        return path

    return save


@pytest.fixture
def write(tmp_path) -> Callable[[str, str], Path]:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


@pytest.fixture
def no_pictures_opened(monkeypatch) -> None:
    """Opening an image raises an error."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a picture was opened while listing")

    monkeypatch.setattr(Image, "open", refuse)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data, which the environment variable MASKSTACK_DATA names."""
    folder = os.environ.get("MASKSTACK_DATA")
    if not folder:
        pytest.skip("MASKSTACK_DATA is not set, so there are no real data sets to try")
    if not Path(folder).is_dir():
        pytest.skip(f"MASKSTACK_DATA is {folder}, which is not a folder")
    return Path(folder)


@pytest.fixture
def annotated() -> Callable[..., AnnotatedImage]:
    def annotated(**fields: object) -> AnnotatedImage:
        return AnnotatedImage(None, "a", **fields)

    return annotated
