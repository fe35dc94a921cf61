import pytest

from maskstack.datasets import FORMATS, load_images
from maskstack.errors import InputError


def test_nothing_known_is_said_so(tmp_path, write):
    with pytest.raises(InputError, match=r"is empty; looked for annotations.csv"):
        load_images(tmp_path)
    write("notes.txt", "x")
    with pytest.raises(InputError, match="has no known format; looked for"):
        load_images(tmp_path)
    with pytest.raises(InputError, match="not a CSV or JSON"):
        load_images(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="does not exist"):
        load_images(tmp_path / "none")
    with pytest.raises(InputError, match="the format is 'xml'"):
        load_images(tmp_path, format="xml")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("place", ["folder", "file"])
def test_every_format_refuses_what_it_is_not(tmp_path, write, kind, place):
    if kind == "huggingface":
        pytest.importorskip("datasets")
    path = write("notes.txt", "x\ny\n")
    with pytest.raises(InputError):
        load_images(tmp_path if place == "folder" else path, format=kind)


def test_the_format_can_be_forced(tmp_path, write, save):
    save("cat/a.jpg")
    write("images.csv", "file\ncat/a.jpg\n")
    assert load_images(tmp_path).format == "csv"
    assert load_images(tmp_path, format="folders").class_names == ("cat",)
