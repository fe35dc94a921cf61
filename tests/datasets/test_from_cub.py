import pytest

from maskstack.datasets import load_images
from maskstack.errors import InputError


@pytest.fixture
def root(save, write, tmp_path):
    save("images/001.Albatross/a.jpg")
    save("images/002.Auk/b.jpg")
    write("images.txt", "1 001.Albatross/a.jpg\n2 002.Auk/b.jpg\n")
    write("classes.txt", "1 001.Albatross\n2 002.Auk\n")
    write("image_class_labels.txt", "1 1\n2 2\n")
    write("bounding_boxes.txt", "1 10.0 5.0 30.0 20.0\n2 0.0 0.0 1.0 1.0\n")
    write("train_test_split.txt", "1 1\n2 0\n")
    write("parts/parts.txt", "1 back\n2 left eye\n")
    write("parts/part_locs.txt", "1 1 12.0 13.0 1\n1 2 0.0 0.0 0\n2 2 4.0 5.0 1\n")
    return tmp_path


def test_classes_boxes_and_parts(root, no_pictures_opened):
    images = load_images(root)
    assert (images.format, images.class_names) == ("cub", ("Albatross", "Auk"))
    first, second = images
    assert (first.name, first.label, first.class_name) == ("001.Albatross/a.jpg", 0, "Albatross")
    assert first.boxes == ((10.0, 5.0, 40.0, 25.0),)
    assert (first.parts, second.parts) == ({"back": (12.0, 13.0)}, {"left eye": (4.0, 5.0)})


@pytest.mark.parametrize(("split", "names"), [("train", ["001.Albatross/a.jpg"]), ("test", ["002.Auk/b.jpg"])])
def test_splits(root, split, names):
    assert [image.name for image in load_images(root, split=split)] == names


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("bounding_boxes.txt", "1 10 5 30\n", "bounding_boxes.txt line 1 has 4 cells, not 5"),
        ("bounding_boxes.txt", "1 10 5 30 20\n", "images.txt line 2: the image 2 is not in .*bounding_boxes.txt"),
        ("bounding_boxes.txt", "1 10 5 -3 20\n2 0 0 1 1", "line 1: the box 10, 5, -3, 20 has a negative size"),
        ("image_class_labels.txt", "1 1\n2 7\n", "line 2: the class 7 is not in classes.txt"),
        ("parts/part_locs.txt", "1 9 1 1 1\n", "the part 9 is not in parts.txt"),
        ("images.txt", "1 ../a.jpg\n2 b.jpg\n", "is not in the data set's folder"),
        ("images.txt", "1 c.jpg\n2 d.jpg\n", "2 of 2 files that cannot be found"),
        ("classes.txt", "", "classes.txt is empty"),
    ],
)
def test_wrong_lines_are_named(root, write, file, text, message):
    write(file, text)
    with pytest.raises(InputError, match=message):
        load_images(root)


def test_unknown_splits_and_missing_files(root):
    with pytest.raises(InputError, match="no split val"):
        load_images(root, split="val")
    (root / "classes.txt").unlink()
    with pytest.raises(InputError, match=r"classes.txt cannot be read"):
        load_images(root)
