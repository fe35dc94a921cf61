"""Folders of photos as lists of files."""

from pathlib import Path

import pytest
from PIL import Image

from maskstack.errors import InputError
from maskstack.jobs.listing import photo_files


def test_a_folder_stands_for_its_photos_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("b10.jpg", "b9.PNG", "a.tif", "scan.nii.gz", "x.dcm"):
        (tmp_path / name).touch()
    left_out = ("notes.txt", ".hidden.jpg", "a.overlay.png", "a.figure.png", "a.map.png", "a.eps.txt")
    left_out += ("a.masks.gif", "a.slices.gif", "a.cat.prototypes.png", "cat.gallery.png")
    for name in left_out:
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    found = photo_files(("z.jpg", str(tmp_path)))
    assert found[0] == "z.jpg", "a file that was named is kept, whatever it is"
    assert [Path(file).name for file in found[1:]] == ["a.tif", "b9.PNG", "b10.jpg", "scan.nii.gz", "x.dcm"]


def test_the_gallery_in_a_folder_of_explanations_is_not_a_photo(tmp_path: Path) -> None:
    for name in ("a.jpg", "gallery.png"):
        (tmp_path / name).touch()
    assert [Path(file).name for file in photo_files((str(tmp_path),))] == ["a.jpg", "gallery.png"], "a user's own photo"
    (tmp_path / "lite0.a.safetensors").touch()
    assert [Path(file).name for file in photo_files((str(tmp_path),))] == ["a.jpg"]


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="is a folder without image files"):
        photo_files((str(tmp_path),))


def test_every_listed_ending_is_one_that_can_be_opened(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.webp")
    (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.4")
    assert [Path(file).name for file in photo_files((str(tmp_path),))] == ["a.webp"]


def test_a_picture_that_pillow_cannot_read_is_listed_so_that_it_is_named_as_left_out(tmp_path: Path) -> None:
    for name in ("IMG_1.HEIC", "logo.svg"):
        (tmp_path / name).touch()
    assert [Path(file).name for file in photo_files((str(tmp_path),))] == ["IMG_1.HEIC", "logo.svg"]


def test_dicom_files_of_any_name_are_known_by_their_first_bytes(tmp_path: Path) -> None:
    for name in ("IM000002", "IM000010", "1.2.840.10008"):
        (tmp_path / name).write_bytes(bytes(128) + b"DICM" + bytes(20))
    for name in ("DICOMDIR.txt", "LICENSE", ".DS_Store"):
        (tmp_path / name).write_text("words")
    assert [Path(file).name for file in photo_files((str(tmp_path),))] == ["IM000002", "IM000010", "1.2.840.10008"]
