import numpy as np
import pytest
from PIL import Image

from maskstack.datasets import load_images
from maskstack.errors import InputError


def thing(name, *box):
    corners = "".join(
        f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object><name>{name}</name><bndbox>{corners}</bndbox></object>"


def xml(file, *things):
    return f"<annotation><filename>{file}</filename>{''.join(things)}</annotation>"


@pytest.fixture
def root(save, write, tmp_path):
    for name in ("a", "b", "c"):
        save(f"JPEGImages/{name}.jpg")
    write(
        "Annotations/a.xml",
        xml("a.jpg", thing("dog", 1, 1, 60, 50), thing("cat", 2, 3, 9, 9), thing("dog", 1, 1, 5, 5)),
    )
    write("Annotations/b.xml", xml("b.jpg", thing("cat", 11, 21, 31, 41)))
    write("Annotations/c.xml", xml("c.jpg"))
    write("ImageSets/Main/val.txt", "b\nc\n")
    write("ImageSets/Main/cat_val.txt", "b 1\n")
    return tmp_path


def test_the_main_class_and_its_boxes(root, no_pictures_opened):
    images = load_images(root)
    assert (images.format, images.class_names) == ("voc", ("cat", "dog"))
    assert [(image.name, image.label) for image in images] == [("a.jpg", 1), ("b.jpg", 0), ("c.jpg", None)]
    assert images[0].boxes == ((0, 0, 60, 50), (0, 0, 5, 5))
    assert images[1].boxes == ((10, 20, 31, 41),)


def test_masks_of_other_classes_need_images_of_one_class(root, write):
    (root / "SegmentationClass").mkdir()
    for name in ("a", "b"):
        Image.new("P", (90, 60), 1).save(root / "SegmentationClass" / f"{name}.png")
    write("Annotations/a.xml", xml("a.jpg", thing("fox", 1, 1, 9, 9), thing("hare", 1, 1, 5, 5)))
    write("Annotations/b.xml", xml("b.jpg", thing("fox", 1, 1, 9, 9), thing("fox", 1, 1, 5, 5)))
    both, one, _ = load_images(root)
    assert both.mask((90, 60)) is None
    assert one.mask((90, 60)).getextrema() == (255, 255)


def test_files_of_one_name_in_two_folders_are_two_images(root, save, write):
    for folder in ("front", "back"):
        save(f"JPEGImages/{folder}/1.jpg")
        write(f"Annotations/{folder}_1.xml", xml(f"{folder}/1.jpg", thing("cat", 1, 1, 5, 5)))
    assert {"front/1.jpg", "back/1.jpg"} <= {image.name for image in load_images(root)}


@pytest.mark.parametrize(("width", "size"), [("90", (90, 60)), ("0", None), ("", None), ("x", None)])
def test_the_annotated_size_is_noted(root, write, width, size):
    noted = f"<size><width>{width}</width><height>60</height></size>"
    write("Annotations/a.xml", xml("a.jpg", noted, thing("cat", 1, 1, 5, 5)))
    assert load_images(root)[0].size == size


def test_splits_are_lists(root):
    assert [image.name for image in load_images(root, split="val")] == ["b.jpg", "c.jpg"]
    with pytest.raises(InputError, match="no split test; ImageSets/Main has val"):
        load_images(root, split="test")


def test_masks_are_of_the_class(root):
    values = np.zeros((60, 90), np.uint8)
    values[:10], values[20:25] = 12, 8  # Pascal's dog and cat.
    mask = Image.fromarray(values)
    mask.putpalette([*range(256)] * 3)
    (root / "SegmentationClass").mkdir()
    mask.save(root / "SegmentationClass" / "a.png")
    first, second, _ = load_images(root)
    assert np.array_equal(np.asarray(first.mask((90, 60))) > 0, values == 12)
    assert second.mask((90, 60)) is None


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><annotation><filename>&b;</filename></annotation>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "b.xml has a document type"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', "b.xml has a document type"),
        ("<annotation>", "b.xml cannot be read as XML"),
        ("", "b.xml cannot be read as XML"),
        (xml("b.jpg", thing("cat", 9, 1, 5, 5)), "b.xml: the box 9, 1, 5, 5 has a negative size"),
        (xml("b.jpg", thing("cat", "x", 1, 5, 5)), "b.xml: the box .* is not four numbers"),
        (xml("b.jpg", "<object><name>cat</name></object>"), "b.xml has an object without bndbox/xmin"),
        (xml("b.jpg", thing("", 1, 1, 5, 5)), "b.xml has an object without name"),
        (xml("../b.jpg"), "is not in the data set's folder"),
        (xml("d.jpg"), "1 of 3 files|1 of"),
    ],
)
def test_wrong_files_are_named(root, write, text, message):
    write("Annotations/b.xml", text)
    with pytest.raises(InputError, match=message):
        load_images(root)


def test_a_bomb_in_another_encoding_is_refused_too(root):
    (root / "Annotations" / "b.xml").write_bytes(BOMB.encode("utf-16"))
    with pytest.raises(InputError, match="document type"):
        load_images(root)
