import json

import numpy as np
import pytest

from maskstack.datasets import load_images
from maskstack.errors import InputError


def content():
    def note(number, category, box, segmentation=None, image=7, crowd=0):
        return {
            "id": number,
            "image_id": image,
            "category_id": category,
            "bbox": box,
            "segmentation": segmentation,
            "iscrowd": crowd,
        }

    return {
        "images": [
            {"id": 7, "file_name": "a.jpg", "width": 90, "height": 60},
            {"id": 8, "file_name": "b.jpg", "width": 90, "height": 60},
        ],
        "annotations": [
            note(1, 18, [10, 20, 30, 20], [[10, 20, 40, 20, 40, 40, 10, 40]]),
            note(2, 3, [0, 0, 5, 5], [[0, 0, 5, 0, 5, 5]]),
            note(3, 18, [0, 0, 2, 2], {"size": [60, 90], "counts": [0, 60, 5340]}),
            note(4, 3, [0, 0, 90, 60], {"size": [60, 90], "counts": [0, 5400]}, crowd=1),
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
    }


@pytest.fixture
def root(save, write, tmp_path):
    save("val2017/a.jpg")
    save("val2017/b.jpg")
    write("annotations/instances_val2017.json", json.dumps(content()))
    write("annotations/captions_val2017.json", json.dumps({"images": [], "annotations": []}))
    write("other.json", "[]")
    return tmp_path


@pytest.mark.parametrize("path", ["", "annotations/instances_val2017.json"])
def test_the_main_class_its_boxes_and_masks(root, path, no_pictures_opened):
    images = load_images(root / path)
    assert (images.format, images.class_names) == ("coco", ("car", "dog"))
    assert [(image.name, image.label, image.class_name) for image in images] == [
        ("a.jpg", 1, "dog"),
        ("b.jpg", None, None),
    ]
    assert images[0].boxes == ((10, 20, 40, 40), (0, 0, 2, 2))
    assert images[0].size == (90, 60)
    mask = np.asarray(images[0].mask((90, 60))) > 0
    assert mask[21:39, 11:39].all()
    assert mask[:, 0].all()  # The run of 60 is the first column.
    assert not mask[:5, 2:5].any()
    assert images[1].mask((90, 60)) is None


def test_an_empty_outline_is_no_mask_and_a_part_of_the_objects_is_none_either(root, write):
    changed = content()
    changed["annotations"][0]["segmentation"] = [[]]
    write("annotations/instances_val2017.json", json.dumps(changed))
    first = load_images(root)[0]
    assert len(first.boxes) == 2
    assert first.mask((90, 60)) is None


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("images", {"id": 7}, "2 of its images have the id 7"),
        ("categories", {"id": 3}, "2 of its categories have the id 3"),
        ("annotations", {"image_id": "7"}, "no annotation has the image_id of one of its images"),
    ],
)
def test_ids_that_do_not_fit_are_refused(root, write, key, change, message):
    changed = content()
    for record in changed[key]:
        record.update(change)
    write("annotations/instances_val2017.json", json.dumps(changed))
    with pytest.raises(InputError, match=message):
        load_images(root)


def test_several_files_need_a_split(root, write, save):
    save("train2017/a.jpg")
    save("train2017/b.jpg")
    write("annotations/instances_train2017.json", json.dumps(content()))
    with pytest.raises(InputError, match=r"2 files .*instances_train2017.json, instances_val2017.json"):
        load_images(root)
    assert load_images(root, split="train")[0].path.parent.name == "train2017"


def changed(keys, value):
    whole = content()
    place = whole
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return json.dumps(whole)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[1]", "is not a JSON object"),
        ("[" * 100_000, "cannot be read as JSON"),
        ('{"images": []}', "no list of categories"),
        (changed(["images"], []), "lists no images"),
        (changed(["images", 1], {"id": 1}), "number 1 of its images has no valid file_name"),
        (changed(["annotations", 0, "bbox"], [1, 2, 3]), "annotation 1: the box"),
        (changed(["annotations", 0, "bbox"], None), "annotation 1: the box"),
        (changed(["annotations", 0, "bbox"], [1, 2, -3, 4]), "annotation 1: the box .* negative size"),
        (changed(["annotations", 0, "category_id"], 99), "annotation 1: its category_id"),
        (changed(["annotations", 0, "segmentation"], [[1, 2, 3]]), "annotation 1: its segmentation"),
        (changed(["annotations", 0, "segmentation"], {"counts": 5}), "annotation 1: its segmentation"),
        (changed(["annotations", 0, "segmentation"], 5), "annotation 1: its segmentation"),
        (changed(["images", 0, "file_name"], "../../a.jpg"), "image 7: the file '../../a.jpg' is not in the data set"),
        (changed(["images", 0, "file_name"], "z.jpg"), "1 of 2 files"),
    ],
)
def test_wrong_files_are_named(root, text, message):
    path = root / "annotations" / "instances_val2017.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_images(path)
