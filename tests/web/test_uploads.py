"""A photo from a browser is opened under the name its owner knows, or refused by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskstack.errors import InputError
from maskstack.web.uploads import Upload


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A picture where a server keeps it, which its owner need not know."""
    path = tmp_path / "3f9a" / "blob.png"
    path.parent.mkdir()
    values = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize("payload", [None, {}, {"path": None}, {"path": "", "orig_name": "cat.png"}], ids=str)
def test_no_photo_is_no_mistake(payload) -> None:
    assert Upload.of(payload, Path.cwd()) is None


def test_a_photo_comes_with_its_pixels_its_file_and_its_owners_name(stored) -> None:
    upload = Upload.of({"path": str(stored), "orig_name": "my cat.png"}, stored.parent.parent)
    assert upload == Upload("my cat.png", stored)
    assert np.array_equal(np.asarray(upload.open(max_pixels=600)), np.asarray(Image.open(stored)))


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        ({}, "blob.png"),
        ({"orig_name": None}, "blob.png"),
        ({"orig_name": ""}, "blob.png"),
        ({"orig_name": "../../etc/cat.png"}, "cat.png"),
        ({"orig_name": "/home/ann/cat.png"}, "cat.png"),
    ],
    ids=str,
)
def test_a_name_is_no_path(stored, payload, name) -> None:
    assert Upload.of({"path": str(stored), **payload}, stored.parent).name == name


def test_a_photo_larger_than_the_limit_is_refused(stored) -> None:
    with pytest.raises(InputError, match=r"^cat\.png has 30 x 20 pixels, more than the limit of 599") as error:
        Upload("cat.png", stored).open(max_pixels=599)
    assert str(stored.parent) not in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda whole: b"no picture\n", "is not an image"),
        (lambda whole: b"", "is empty"),
        (lambda whole: whole[: len(whole) // 2], "is damaged"),
        (lambda whole: None, "does not exist"),
    ],
    ids=["text", "empty", "cut", "gone"],
)
def test_what_is_no_photo_is_refused_by_its_owners_name_alone(stored, content, says) -> None:
    whole = stored.read_bytes()
    stored.unlink()
    if (written := content(whole)) is not None:
        stored.write_bytes(written)
    with pytest.raises(InputError) as error:
        Upload("holiday.png", stored).open(max_pixels=10_000)
    assert str(error.value).startswith(f"holiday.png {says}")
    assert str(stored.parent) not in str(error.value)


def test_only_what_was_uploaded_here_is_taken(tmp_path, stored) -> None:
    root = tmp_path / "uploads"
    root.mkdir()
    (root / "link.png").symlink_to(stored)
    (root / "folder").mkdir()
    for path in (stored, root / ".." / "3f9a" / "blob.png", root / "link.png", root / "folder", root / "gone.png"):
        for meta in ({}, {"meta": {"x": 1}}, {"meta": {"_type": "gradio.FileData"}}):
            with pytest.raises(InputError, match="not uploaded here"):
                Upload.of({"path": str(path), **meta}, root)
    assert stored.is_file()
