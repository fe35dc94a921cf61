import numpy as np
import pytest
import torch
from PIL import Image

from maskstack.errors import InputError
from maskstack.models.preprocess import Preprocess, to_picture
from maskstack.models.spec import adjusted

UNIT = {"mean": (0.0,) * 3, "std": (1.0,) * 3}


@pytest.mark.parametrize("size", [(80, 60), (60, 80), (501, 333), (8, 300), (224, 224)])
@pytest.mark.parametrize(("side", "resize"), [(64, 73), (224, 256), (32, 32)])
def test_it_sees_what_torchvision_would(size, side, resize):
    presets = pytest.importorskip("torchvision.transforms._presets")
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    theirs = presets.ImageClassification(crop_size=side, resize_size=resize)(image)
    ours = Preprocess(size=(side, side), share=side / resize)(image)
    assert torch.equal(ours, theirs)


def test_it_makes_float32_of_its_size(photo):
    tensor = Preprocess(size=(32, 48))(photo)
    assert (tensor.shape, tensor.dtype, tensor.is_contiguous()) == ((3, 32, 48), torch.float32, True)


def test_squashing_keeps_the_whole_picture():
    image = Image.new("RGB", (100, 50))
    image.paste((255, 255, 255), (0, 0, 10, 50))
    squashed = Preprocess(size=(20, 20), share=1.0, squash=True, **UNIT)(image)
    cropped = Preprocess(size=(20, 20), share=1.0, **UNIT)(image)
    assert squashed[:, :, 0].mean() > 0.9
    assert cropped.max() == 0


def test_grey_networks_get_one_channel(photo):
    preprocess = adjusted(Preprocess(size=(32, 32)), {"channels": "1", "norm": "half"})
    assert preprocess(photo).shape == (1, 32, 32)
    assert preprocess.mean == preprocess.std == (0.5,)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_comes_back(photo, channels):
    preprocess = adjusted(Preprocess(size=(32, 32)), {"channels": str(channels)})
    back = to_picture(preprocess(photo), mean=preprocess.mean, std=preprocess.std)
    seen = preprocess.crop(photo).convert("L" if channels == 1 else "RGB").convert("RGB")
    assert back.mode == "RGB"
    assert np.abs(np.asarray(back).astype(int) - np.asarray(seen)).max() <= 1


def test_a_tensor_of_other_channels_is_refused():
    with pytest.raises(InputError, match=r"\(1, 8, 8\)"):
        to_picture(torch.zeros(1, 8, 8), mean=(0.5,) * 3, std=(0.5,) * 3)
    with pytest.raises(InputError):
        to_picture(torch.zeros(1, 3, 8, 8), mean=(0.5,) * 3, std=(0.5,) * 3)


def test_keys_change_it():
    changed = adjusted(Preprocess(), {"size": "192x256", "mean": "0.1/0.2/0.3", "std": "0.5"})
    assert (changed.size, changed.mean, changed.std) == ((192, 256), (0.1, 0.2, 0.3), (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    "options",
    [
        {"size": "big"},
        {"size": "4"},
        {"size": "224x"},
        {"norm": "imagnet"},
        {"mean": "0.1/0.2"},
        {"mean": "a/b/c"},
        {"mean": "nan"},
        {"std": "0"},
        {"std": "-1"},
        {"channels": "grey"},
    ],
)
def test_values_that_cannot_be_are_refused(options):
    with pytest.raises(InputError):
        adjusted(Preprocess(), options)
