import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskstack.datasets import AnnotatedImage, AnnotatedImages
from maskstack.errors import InputError


def listed(count, **fields):
    return AnnotatedImages(tuple(AnnotatedImage(None, f"{index:03}", index % 3) for index in range(count)), **fields)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**31), st.booleans())
def test_a_smaller_subset_begins_a_larger_one(few, many, seed, turned):
    images = listed(50)
    other = images[::-1] if turned else images
    few, many = sorted((few, many))
    assert images.subset(few, seed).images == other.subset(many, seed).images[:few]
    assert len(images.subset(many, seed)) == min(many, 50)


def test_seeds_differ():
    assert listed(50).subset(10, 0).images != listed(50).subset(10, 1).images


def test_halves_are_the_even_and_odd_names_in_order():
    images = listed(7)[::-1]
    assert [image.name for image in images.half("tuning")] == ["000", "002", "004", "006"]
    assert [image.name for image in images.half("reporting")] == ["001", "003", "005"]


def test_slices_and_choices_keep_what_is_known():
    images = listed(6, class_names=("a", "b", "c"), format="csv")
    for part in (images[1:3], images.where(lambda image: image.label == 0), images.subset(2), images.half("tuning")):
        assert (part.class_names, part.format) == (("a", "b", "c"), "csv")
    assert [image.name for image in images.where(lambda image: image.label == 0)] == ["000", "003"]
    assert images[-1].name == "005"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: listed(3, class_names=("a", "b")), "002 has the class index 2, but there are classes 0 to 1"),
        (lambda: AnnotatedImages((AnnotatedImage(None, "a", -1),)), "indices start at 0"),
        (lambda: AnnotatedImages((AnnotatedImage(None, "a"),) * 2), "2 images are named a"),
        (lambda: listed(3).subset(0), "subset of 0 images"),
        (lambda: listed(3).half("test"), "'test'"),
        (lambda: AnnotatedImage(None, "a").open(), "a has neither"),
    ],
)
def test_wrong_lists_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        wrong()


def test_it_opens_files_upright(save):
    path = save("a.jpg", (90, 60))
    from PIL import Image

    turned = Image.open(path)
    exif = turned.getexif()
    exif[274] = 6
    turned.save(path, exif=exif)
    assert AnnotatedImage(path, "a.jpg").open().size == (60, 90)


def test_images_can_be_pickled_and_hashed(save):
    image = AnnotatedImage(save("a.jpg"), "a.jpg", 0, "cat", ((0.0, 0.0, 1.0, 1.0),), {"eye": (1.0, 2.0)})
    assert pickle.loads(pickle.dumps(image)) == image
    assert len({image, image}) == 1
