from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskstack.datasets import AnnotatedImage, AnnotationTransform, Polygons, load_images, transform_annotations
from maskstack.errors import InputError
from maskstack.models import Preprocess

SIDES = st.integers(60, 500)


def resized(preprocess, size):
    """Width and height of the resized image, and the widths that the crop removes on the left and at the top."""
    wide, tall = (round(side / preprocess.share - 0.499) for side in preprocess.size[::-1])
    if not preprocess.squash:
        scale = max(tall / size[1], wide / size[0])
        wide, tall = max(wide, int(size[0] * scale)), max(tall, int(size[1] * scale))
    return (wide, tall), (round((wide - preprocess.size[1]) / 2), round((tall - preprocess.size[0]) / 2))


def analytic(point, preprocess, size):
    scaled, cut = resized(preprocess, size)
    return tuple(at * new / old - off for at, new, old, off in zip(point, scaled, size, cut, strict=True))


def carried_box(box, preprocess, size):
    corners = [*analytic(box[:2], preprocess, size), *analytic(box[2:], preprocess, size)]
    height, width = preprocess.size
    return np.clip(corners, 0, [width, height, width, height])


PREPROCESSES = st.builds(
    Preprocess,
    size=st.sampled_from([(224, 224), (96, 128), (160, 96)]),
    share=st.sampled_from([0.75, 0.875, 1.0]),
    squash=st.booleans(),
    resampling=st.sampled_from([Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.NEAREST]),
)
FRACTIONS = st.tuples(*[st.floats(0, 1)] * 4)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(SIDES, SIDES, PREPROCESSES, FRACTIONS)
def test_boxes_and_parts_agree_with_the_known_geometry(width, height, preprocess, at):
    (left, right), (top, bottom) = sorted(at[:2]), sorted(at[2:])
    box = (left * width, top * height, right * width, bottom * height)
    image = AnnotatedImage(None, "a", boxes=(box,), parts={"corner": box[:2]})
    truth = transform_annotations(image, Image.new("RGB", (width, height)), preprocess)
    wanted = carried_box(box, preprocess, (width, height))
    sides = wanted[2:] - wanted[:2]
    # The position in a smaller image is known to half of its pixels, with any interpolation.
    scale = max(np.divide(resized(preprocess, (width, height))[0], (width, height)))
    blur = scale / 2 if scale > 1 else 0
    if min(sides) >= 3 + 2 * blur:
        assert np.abs(truth.boxes[0].numpy() - wanted).max() <= 1.5 + blur
        assert truth.share * truth.inside.numel() == pytest.approx(sides.prod(), abs=(1.5 + blur) * sides.sum() + 4)
    if "corner" in truth.parts:
        # Also a corner just outside of the crop may count as in it, and is then at its edge as a box would be.
        corner = carried_box((*box[:2], *box[:2]), preprocess, (width, height))[:2]
        assert np.abs(np.subtract(truth.parts["corner"], corner)).max() <= 1 + blur
    assert not (truth.inside & ~truth.near).any()


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(SIDES, SIDES, PREPROCESSES, st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_parts_are_there_exactly_if_the_crop_keeps_them(width, height, preprocess, x, y):
    point = (x * width, y * height)
    truth = transform_annotations(
        AnnotatedImage(None, "a", parts={"p": point}), Image.new("RGB", (width, height)), preprocess
    )
    at = analytic(point, preprocess, (width, height))
    tall, wide = preprocess.size
    margin = min(at[0], wide - at[0], at[1], tall - at[1])
    scaled, _ = resized(preprocess, (width, height))
    if abs(margin) > 1 + max(scaled[0] / width, scaled[1] / height):
        assert ("p" in truth.parts) == (margin > 0)


BOX = (80.0, 60.0, 200.0, 180.0)
IMAGE = AnnotatedImage(None, "a", boxes=(BOX,), parts={"p": (150.0, 120.0)})


def agree(preprocess, other, size):
    one, two = (transform_annotations(IMAGE, Image.new("RGB", size), each) for each in (preprocess, other))
    assert (one.boxes - two.boxes).abs().max() <= 1.5
    assert np.abs(np.subtract(one.parts["p"], two.parts["p"])).max() <= 1


@pytest.mark.parametrize("size", [(300, 240), (240, 300), (500, 333)])
def test_torchvisions_pipelines_agree(size):
    transforms = pytest.importorskip("torchvision.transforms")
    steps = [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()]
    pipeline = transforms.Compose([*steps, transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
    agree(Preprocess(), pipeline, size)


@pytest.mark.parametrize("size", [(300, 240), (240, 300), (500, 333)])
def test_timms_pipelines_agree(size):
    data = pytest.importorskip("timm.data")
    pipeline = data.create_transform((3, 224, 224), crop_pct=0.875, interpolation="bicubic")
    agree(Preprocess(), pipeline, size)


def whole(change):
    plain = Preprocess(share=1.0, squash=True)
    return lambda picture: change(plain(picture))


@pytest.mark.parametrize(
    ("change", "box"),
    [
        (lambda pixels: pixels.flip(2), (100, 60, 180, 120)),
        (lambda pixels: pixels.transpose(1, 2), (60, 44, 120, 124)),
        (lambda pixels: -pixels, (44, 60, 124, 120)),
        (lambda pixels: ((pixels * 0.225 + 0.45).clamp(0, 2) / 2) ** 2, (44, 60, 124, 120)),
        (lambda pixels: torch.nn.functional.pad(pixels, (10, 0, 5, 0)), (54, 65, 134, 125)),
        (lambda pixels: pixels.mean(dim=0, keepdim=True), (44, 60, 124, 120)),
        (lambda pixels: torch.stack([pixels[0] * 0, pixels[1]]), (44, 60, 124, 120)),
    ],
    ids=["flip", "transpose", "negative", "gamma", "padding", "grey", "dead channel"],
)
def test_other_ways_are_followed(change, box):
    image = AnnotatedImage(None, "a", boxes=((88.0, 120.0, 248.0, 240.0),))
    truth = transform_annotations(image, Image.new("RGB", (448, 448)), whole(change))
    assert np.abs(truth.boxes[0].numpy() - box).max() <= 1.5


def test_boxes_cut_away_are_left_out():
    image = AnnotatedImage(None, "a", boxes=((0, 0, 20, 90), (200, 50, 260, 90), (390, 0, 400, 100)))
    truth = transform_annotations(image, Image.new("RGB", (400, 100)), Preprocess())
    assert truth.boxes.shape == (1, 4)
    assert transform_annotations(AnnotatedImage(None, "a"), Image.new("RGB", (400, 100)), Preprocess()).boxes.shape == (
        0,
        4,
    )


@pytest.mark.parametrize("box", [(400, 0, 410, 50), (-9, -9, 30, 0), (900, 900, 1000, 1000)])
def test_a_box_outside_of_its_image_is_a_problem(box):
    inside = (0, 0, 400, 100)
    photo = Image.new("RGB", (400, 100))
    for boxes, wrong in (((inside, box), True), ((inside, (-50, -50, 1, 9000)), False), (((0, 0, 0, 0),), False)):
        problem = transform_annotations(AnnotatedImage(None, "a", boxes=boxes), photo, Preprocess()).problem
        assert ("lies outside of the image, which has 400 x 100 pixels" in problem) is wrong


def test_tiny_objects_are_one_pixel():
    image = AnnotatedImage(None, "a", boxes=((500, 500, 501, 501),))
    assert transform_annotations(image, Image.new("RGB", (1000, 1000)), Preprocess(size=(64, 64))).inside.sum() == 1


def test_near_is_the_tolerance_of_the_picture_wider():
    image = AnnotatedImage(None, "a", boxes=((200, 200, 248, 248),))
    truth = transform_annotations(image, Image.new("RGB", (448, 448)), Preprocess(share=1.0), tolerance=30)
    assert truth.near.any(dim=0).sum() == pytest.approx(24 + 2 * 15, abs=2)
    corners = 24**2 + 4 * 24 * 15 + np.pi * 15**2
    assert truth.near.sum() == pytest.approx(corners, rel=0.05)
    with pytest.raises(InputError, match="tolerance is -1"):
        transform_annotations(image, Image.new("RGB", (448, 448)), Preprocess(), tolerance=-1)


@pytest.mark.parametrize(("size", "message"), [((60, 90), "ignore its EXIF orientation"), ((180, 120), "resize")])
def test_annotations_of_another_size_are_refused(size, message):
    photo = Image.new("RGB", (90, 60))
    fits = AnnotatedImage(None, "a.jpg", boxes=((10, 10, 30, 30),), size=(90, 60))
    assert bool(transform_annotations(fits, photo, Preprocess()).inside.any())
    with pytest.raises(InputError, match=rf"annotations of a.jpg are for {size[0]} x .*90 x 60: .*{message}"):
        transform_annotations(replace(fits, size=size), photo, Preprocess())
    transform_annotations(replace(fits, size=size, boxes=()), photo, Preprocess())


def test_masks_replace_missing_boxes():
    square = Polygons(((200, 200, 248, 200, 248, 248, 200, 248),))
    picture, preprocess = Image.new("RGB", (448, 448)), Preprocess(share=1.0)
    only = transform_annotations(AnnotatedImage(None, "a", regions=(square,)), picture, preprocess, tolerance=30)
    assert torch.equal(only.inside, only.mask)
    assert only.mask.sum() == pytest.approx(24**2, rel=0.1)
    assert only.near.sum() == pytest.approx(24**2 + 4 * 24 * 15 + np.pi * 15**2, rel=0.06)
    both = transform_annotations(
        AnnotatedImage(None, "a", boxes=((0, 0, 448, 448),), regions=(square,)), picture, preprocess
    )
    assert (both.share, both.mask.sum()) == (1.0, only.mask.sum())


@pytest.mark.parametrize(
    ("preprocess", "message"),
    [
        (lambda picture: torch.zeros(3, 8, 8), "same result for white and black"),
        (lambda picture: torch.full((3, 8, 8), torch.nan), "same result for white and black"),
        (lambda picture: Preprocess()(picture)[None], "must give channels"),
        (lambda picture: picture, "must give channels"),
        (whole(lambda pixels: (pixels > 0).float()), "order of grey values"),
    ],
)
def test_unmeasurable_preprocessings_are_refused(preprocess, message):
    with pytest.raises(InputError, match=message):
        transform_annotations(IMAGE, Image.new("RGB", (100, 100)), preprocess)


def test_unhashable_preprocessings_work():
    class Own(list):
        def __call__(self, picture):
            return Preprocess()(picture)

    assert transform_annotations(IMAGE, Image.new("RGB", (300, 240)), Own()).boxes.shape == (1, 4)


def test_the_preprocessing_runs_a_few_times_for_each_new_size():
    sizes = []

    def counted(picture):
        sizes.append(picture.size)
        return Preprocess()(picture)

    transform = AnnotationTransform(counted)
    image = AnnotatedImage(None, "a", boxes=(BOX,) * 4, parts=dict.fromkeys("abcdef", (150, 120)))
    for size in ((500, 375), (500, 376), (500, 375)):
        transform(image, Image.new("RGB", size))
    assert sizes.count((500, 375)) == sizes.count((500, 376)) == 8, "black, white, and three ramps each way"


def test_real_birds_lie_where_their_parts_are(data):
    images = load_images(data / "birds-uncropped").subset(20)
    inside = []
    for image in images:
        truth = transform_annotations(image, image.open(), Preprocess())
        inside += [bool(truth.near[int(y), int(x)]) for x, y in truth.parts.values()]
    assert np.mean(inside) > 0.95
