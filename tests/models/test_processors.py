"""The network's input is that of the library's own preprocessing: Hugging Face, timm and torchvision."""

import contextlib
import os
import re

import pytest
import torch

from maskstack.errors import ModelError
from maskstack.models.from_hf import hf_preprocess
from maskstack.models.own_transform import SAME, _photo
from maskstack.models.spec import parse_spec

EVERY = bool(os.environ.get("MASKSTACK_EVERY"))
"""Whether to go through all preprocessings, which takes minutes, or only those of classifiers."""

PHOTOS = ((410, 290), (211, 310)) if EVERY else ((211, 310),)
LARGEST = 2000 if EVERY else 240

OFTEN = (
    "BeitImageProcessor", "BitImageProcessor", "CLIPImageProcessor", "ConvNextImageProcessor", "DeiTImageProcessor",
    "DINOv3ViTImageProcessor", "EfficientNetImageProcessor", "LevitImageProcessor", "MobileNetV1ImageProcessor",
    "MobileNetV2ImageProcessor", "MobileViTImageProcessor", "PerceiverImageProcessor", "PoolFormerImageProcessor",
    "PPLCNetImageProcessor", "PvtImageProcessor", "SegformerImageProcessor", "SiglipImageProcessor",
    "ViTImageProcessor", "VideoMAEImageProcessor", "VivitImageProcessor", "Qwen2VLImageProcessor",
    "ImageGPTImageProcessor",
)  # fmt: skip
"""Processors of image classifiers, and two that do not make one image of a photo."""


def processors() -> list[str]:
    """Names of the image processors of transformers."""
    auto = pytest.importorskip("transformers.models.auto.image_processing_auto", reason="the extra 'models'")
    found: set[str] = set()
    for value in auto.IMAGE_PROCESSOR_MAPPING_NAMES.values():
        each = value.values() if isinstance(value, dict) else [value] if isinstance(value, str) else value
        found.update(name for name in each if name)
    return sorted(name for name in found if EVERY or name.removesuffix("Pil") in OFTEN)


def compare(processor, name: str) -> None:
    """The largest difference over the photos from what the processor itself makes."""
    ours = hf_preprocess(parse_spec(f"hf:{name}"), processor)
    for size in PHOTOS:
        photo = _photo(*size)
        theirs = processor(images=photo, return_tensors="pt")["pixel_values"].float()
        theirs = theirs.reshape(theirs.shape[-3:])
        assert ours(photo).shape == theirs.shape, name
        assert float((ours(photo) - theirs).abs().mean()) <= SAME, name


@pytest.mark.slow
def test_every_image_processor_is_used_or_refused_in_one_sentence(capsys) -> None:
    transformers = pytest.importorskip("transformers", reason="the extra 'models' is not installed")
    covered, refused, cannot = [], {}, []
    for name in processors():
        try:
            processor = getattr(transformers, name)()
        # Some need a file or an argument.
        except Exception:
            cannot.append(name)
            continue
        try:
            compare(processor, name)
            covered.append(name)
        except ModelError as error:
            refused[name] = str(error)
    with capsys.disabled():
        print(f"\nimage processors: {len(covered)} used, {len(refused)} refused, {len(cannot)} not made: {cannot}")
        print(f"refused: {', '.join(sorted(refused))}")
    for sentence in refused.values():
        assert re.fullmatch("the image processor .*; use a(nother)? [^;]*", sentence)
    for sentence in refused.values():
        assert re.fullmatch("the image processor .*; use a(nother)? [^;]*", sentence)
    assert len(covered) > 20
    assert "ViTImageProcessor" in covered
    assert refused


@pytest.mark.parametrize(
    "changes",
    [
        {"do_normalize": False},
        {"do_rescale": False},
        {"do_resize": False},
        {"rescale_factor": 1 / 127.5},
        {"do_center_crop": True, "crop_size": {"height": 300, "width": 300}, "size": {"shortest_edge": 224}},
        {"size": {"height": 100, "width": 180}},
        {"resample": 0},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["CLIPImageProcessor", "ViTImageProcessor", "MobileViTImageProcessor"])
def test_settings_of_a_processor_are_followed(name: str, changes) -> None:
    transformers = pytest.importorskip("transformers", reason="the extra 'models' is not installed")
    processor = getattr(transformers, name)(**changes)
    try:
        compare(processor, name)
    except ModelError:
        with contextlib.suppress(Exception):
            processor(images=_photo(*PHOTOS[0]), return_tensors="pt")
            pytest.fail("refused though the processor makes an image")


@pytest.mark.slow
def test_every_preprocessing_of_timm_is_followed(capsys) -> None:
    timm = pytest.importorskip("timm", reason="the extra 'models' is not installed")
    from maskstack.models.from_timm import timm_preprocess

    seen: dict = {}
    for name in timm.list_models():
        config = timm.get_pretrained_cfg(name)
        if config is not None:
            data = timm.data.resolve_data_config(pretrained_cfg=config.to_dict())
            seen.setdefault(
                (data["input_size"], data["crop_pct"], data["crop_mode"], data["interpolation"]), (name, data)
            )
    for name, data in seen.values():
        ours = timm_preprocess(timm, parse_spec(f"timm:{name}"), data)
        theirs = timm.data.create_transform(**data, is_training=False)
        for size in PHOTOS:
            photo = _photo(*size)
            assert ours(photo).shape == theirs(photo).shape
            assert float((ours(photo) - theirs(photo)).abs().mean()) <= SAME, name
    with capsys.disabled():
        print(f"\npreprocessings of timm: {len(seen)} used, none refused")
    assert len(seen) > 15


@pytest.mark.slow
def test_every_preprocessing_of_torchvision_is_followed(capsys) -> None:
    models = pytest.importorskip("torchvision.models", reason="the extra 'models' is not installed")
    from maskstack.models.from_torchvision import torchvision_preprocess

    covered, refused, seen = 0, [], set()
    for name in models.list_models():
        for weights in models.get_model_weights(name):
            transforms = weights.transforms()
            if repr(transforms) in seen or (getattr(transforms, "crop_size", None) or [0])[0] > LARGEST:
                continue
            seen.add(repr(transforms))
            try:
                ours = torchvision_preprocess(parse_spec(f"torchvision:{name}"), transforms)
            except ModelError:
                refused.append(name)
                continue
            covered += 1
            for size in PHOTOS:
                photo = _photo(*size)
                assert ours(photo).shape == transforms(photo).shape
                assert float((ours(photo) - transforms(photo)).abs().mean()) <= SAME, name
    with capsys.disabled():
        print(
            f"\npreprocessings of torchvision: {covered} used; refused, as not for single images: {', '.join(refused)}"
        )
    assert covered > 5


def test_a_processor_that_keeps_the_shape_of_the_photo_is_used() -> None:
    transformers = pytest.importorskip("transformers", reason="the extra 'models' is not installed")
    processor = transformers.ViTImageProcessor(do_resize=False)
    ours = hf_preprocess(parse_spec("hf:x"), processor)
    assert ours(_photo(180, 330)).shape == torch.Size([3, 330, 180])
