import sys

import numpy as np
import pytest
from PIL import Image

from maskstack.datasets import from_hugging_face, load_images
from maskstack.errors import InputError, MissingExtraError

library = pytest.importorskip("datasets", reason="the package datasets is not installed")


def made(columns, features=None):
    pictures = [Image.fromarray(np.full((20, 30, 3), 10 * index, np.uint8)) for index in range(3)]
    features = {"image": library.Image(), **(features or {})}
    return library.Dataset.from_dict({"image": pictures, **columns}, features=library.Features(features))


@pytest.fixture(scope="module")
def labelled():
    return made({"label": [1, 0, -1]}, {"label": library.ClassLabel(names=["cat", "dog"])})


def test_labels_and_pictures(labelled):
    images = from_hugging_face(labelled)
    assert (images.format, images.class_names, images.indices_given) == ("huggingface", ("cat", "dog"), False)
    assert [(image.label, image.class_name) for image in images] == [(1, "dog"), (0, "cat"), (None, None)]
    assert [image.path for image in images] == [None] * 3
    assert np.array_equal(np.asarray(images[2].open())[0, 0], [20, 20, 20])


def test_saved_to_disk(labelled, tmp_path, monkeypatch):
    labelled.save_to_disk(tmp_path / "one")
    library.DatasetDict(train=labelled, test=labelled.select([0])).save_to_disk(tmp_path / "two")
    assert len(load_images(tmp_path / "one")) == 3
    assert len(load_images(tmp_path / "two", split="test")) == 1
    with pytest.raises(InputError, match="no split val; choose one of train, test"):
        load_images(tmp_path / "two", split="val")
    (tmp_path / "one" / "state.json").write_text("{")
    with pytest.raises(InputError, match=r"state\.json cannot be read .*; save the data set again"):
        load_images(tmp_path / "one")


def test_listing_unpacks_no_picture(labelled, no_pictures_opened):
    images = from_hugging_face(labelled)
    with pytest.raises(InputError, match="image 0 of the data set cannot be read"):
        images[0].open()


OBJECTS = [{"bbox": [[1, 2, 3, 4], [0, 0, 9, 9]], "category": [0, 1]}, {"bbox": [[1, 1, 1, 1]], "category": [0]}]


def test_objects_give_class_and_boxes():
    kind = {
        "bbox": library.List(library.List(library.Value("float32"))),
        "category": library.List(library.ClassLabel(names=["a", "b"])),
    }
    images = from_hugging_face(made({"objects": [*OBJECTS, {"bbox": [], "category": []}]}, {"objects": kind}))
    assert images.class_names == ("a", "b")
    assert [(image.label, image.boxes) for image in images] == [(1, ((0, 0, 9, 9),)), (0, ((1, 1, 2, 2),)), (None, ())]


def test_objects_as_lists_of_records_beside_a_label():
    kind = library.List({"bbox": library.List(library.Value("float32"))})
    columns = {"objects": [[{"bbox": [1, 2, 3, 4]}], [], []], "label": [7, 8, 9]}
    dataset = made(columns, {"objects": kind, "label": library.Value("int64")})
    images = from_hugging_face(dataset, boxes="xyxy")
    assert images.indices_given
    assert [(image.label, image.boxes) for image in images] == [(7, ((1, 2, 3, 4),)), (8, ()), (9, ())]


def test_labels_of_text():
    images = from_hugging_face(made({"label": ["dog", "cat", "dog"]}, {"label": library.Value("string")}))
    assert (images.class_names, [image.label for image in images]) == (("cat", "dog"), [1, 0, 1])


def test_data_sets_without_images_are_refused():
    with pytest.raises(InputError, match="no column of images; it has label"):
        from_hugging_face(library.Dataset.from_dict({"label": [1]}))
    with pytest.raises(InputError, match="list is not"):
        from_hugging_face([1])


def test_the_package_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"maskstack\[datasets\]"):
        from_hugging_face("x")
