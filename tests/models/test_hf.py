import logging

import numpy as np
import pytest
import torch
from PIL import Image

from maskstack import MDM
from maskstack.errors import InputError, ModelError
from maskstack.models import load_model
from maskstack.models.from_hf import _geometry

transformers = pytest.importorskip("transformers")


def config(**changes):
    names = {0: "cat", 1: "dog", 2: "owl"}
    return transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=8,
        **{"id2label": names, "label2id": {name: index for index, name in names.items()}, **changes},
    )


@pytest.fixture
def folder(tmp_path):
    transformers.ViTForImageClassification(config()).save_pretrained(tmp_path / "tiny-vit")
    size = {"height": 32, "width": 32}
    transformers.ViTImageProcessor(size=size, image_mean=[0.5] * 3, image_std=[0.25] * 3).save_pretrained(
        tmp_path / "tiny-vit"
    )
    return tmp_path / "tiny-vit"


@pytest.mark.slow
def test_a_folder(folder, photo, capfd):
    model = load_model(f"hf:{folder}")
    assert (model.class_names, model.input_size, model.weights) == (
        ("cat", "dog", "owl"),
        (32, 32),
        "tiny-vit",
    )
    assert (model.mean, model.std) == ((0.5,) * 3, (0.25,) * 3)
    assert capfd.readouterr() == ("", "")
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    theirs = processor(photo, return_tensors="pt")["pixel_values"][0]
    assert (model.preprocess(photo) - theirs).abs().max() < 0.02
    assert model.model(model.preprocess(photo)[None]).logits.shape == (1, 3)


def test_half_precision_is_made_whole(folder):
    network = transformers.ViTForImageClassification.from_pretrained(folder).half()
    network.save_pretrained(folder)
    assert load_model(f"hf:{folder}").model.dtype == torch.float32


def test_names_that_are_none(folder):
    transformers.ViTForImageClassification(config(id2label={0: "LABEL_0", 1: "LABEL_1"})).save_pretrained(folder)
    assert load_model(f"hf:{folder}").class_names == ()


def test_a_hub_name_needs_the_flag():
    with pytest.raises(InputError, match="google/vit-base-patch16-224,pretrained"):
        load_model("hf:google/vit-base-patch16-224")


@pytest.mark.parametrize("fails", ["configuration", "weights"])
def test_a_failed_download_is_one_sentence(monkeypatch, fails):
    def fail(*_args, **_options):
        raise OSError("We couldn't connect\nand much more")

    def configuration(*_args, **_options):
        return {}, {}

    first = fail if fails == "configuration" else configuration
    monkeypatch.setattr(transformers.PretrainedConfig, "get_config_dict", first)
    monkeypatch.setattr(transformers.ImageProcessingMixin, "get_image_processor_dict", configuration)
    monkeypatch.setattr(transformers.AutoModelForImageClassification, "from_pretrained", fail)
    with pytest.raises(ModelError, match="couldn't connect") as caught:
        load_model("hf:google/vit-base-patch16-224,pretrained")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_without_a_class_head(folder):
    transformers.ViTModel(config()).save_pretrained(folder)
    with pytest.raises(ModelError, match="no weights for classifier"):
        load_model(f"hf:{folder}")


def test_a_pickled_checkpoint_is_not_read(folder):
    state = transformers.ViTForImageClassification(config()).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        load_model(f"hf:{folder}")


def test_folders_that_are_not_whole(folder):
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match="preprocessor_config"):
        load_model(f"hf:{folder}")
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match="could not be loaded") as caught:
        load_model(f"hf:{folder}")
    assert "\n" not in str(caught.value)


def test_the_users_own_logging_is_left_alone(folder):
    transformers.utils.logging.set_verbosity(logging.INFO)
    load_model(f"hf:{folder}")
    assert transformers.utils.logging.get_verbosity() == logging.INFO
    transformers.utils.logging.set_verbosity_warning()


@pytest.mark.parametrize(
    ("settings", "geometry"),
    [
        ({"size": {"height": 224, "width": 224}}, ((224, 224), 1.0, True)),
        (
            {
                "size": {"shortest_edge": 256},
                "do_center_crop": True,
                "crop_size": {"height": 224, "width": 224},
            },
            ((224, 224), 0.875, False),
        ),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875}, ((224, 224), 0.875, False)),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.875}, ((384, 384), 1.0, True)),
    ],
)
def test_geometry_of_image_processors(settings, geometry):
    assert _geometry(settings) == geometry


def test_processors_without_a_fixed_size():
    assert _geometry({"size": {"longest_edge": 1024}}) is None


def saved(tmp_path, processor, **changes):
    """A folder with a small network and a processor."""
    transformers.ViTForImageClassification(config(**changes)).save_pretrained(tmp_path / "net")
    processor.save_pretrained(tmp_path / "net")
    return tmp_path / "net"


def test_a_processor_that_turns_the_colours_around_is_used_and_its_picture_is_the_photo(tmp_path, photo):
    side = {"height": 32, "width": 32}
    processor = transformers.MobileViTImageProcessor(size={"shortest_edge": 36}, crop_size=side)
    net = load_model(f"hf:{saved(tmp_path, processor)}")
    theirs = transformers.AutoImageProcessor.from_pretrained(tmp_path / "net")(photo, return_tensors="pt")
    torch.testing.assert_close(net.preprocess(photo), theirs["pixel_values"][0], atol=1e-3, rtol=0)
    assert net.order == (2, 1, 0)
    red = Image.new("RGB", (50, 50), (250, 20, 90))
    seen = np.asarray(net.picture(net.preprocess(red)))[16, 16]
    assert np.abs(seen.astype(int) - (250, 20, 90)).max() <= 2


def test_keys_replace_a_processor_that_only_resizes_and_are_refused_otherwise(tmp_path):
    side = {"height": 32, "width": 32}
    plain = saved(tmp_path / "a", transformers.ViTImageProcessor(size=side))
    assert load_model(f"hf:{plain},norm=unit").mean == (0.0,) * 3
    other = saved(tmp_path / "b", transformers.MobileViTImageProcessor(size={"shortest_edge": 36}, crop_size=side))
    with pytest.raises(InputError, match=r"MobileViTImageProcessor\w* of .* does more than resize.*leave out norm"):
        load_model(f"hf:{other},norm=unit")


def test_a_grey_network_gets_grey_images(tmp_path, photo):
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    net = load_model(f"hf:{saved(tmp_path, processor, num_channels=1)}")
    image = net.preprocess(photo)
    assert (image.shape, len(net.mean), len(net.std)) == ((1, 32, 32), 1, 1)
    colours = processor(images=photo, return_tensors="pt")["pixel_values"][0]
    assert (image[0] - torch.einsum("chw,c->hw", colours, torch.tensor([0.299, 0.587, 0.114]))).abs().mean() < 1e-2
    assert net.picture(image).size == (32, 32)


@pytest.mark.slow
def test_networks_of_many_channels_load_and_ask_for_tensors(tmp_path, photo):
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    many = {
        "hf": lambda: load_model(f"hf:{saved(tmp_path, processor, num_channels=5)},size=32"),
        "timm": lambda: load_model("timm:test_resnet,channels=5,num_classes=3,size=32"),
    }
    for make in many.values():
        net = make()
        images = torch.randn(1, 5, 32, 32)
        assert MDM(net, sizes=(2, 4), steps=2)(images, 1).saliency.shape == (1, 1, 32, 32)
        assert net.picture(images[0]).size == (32, 32)
        with pytest.raises(InputError, match="takes 5 channels, which no photo has; give MDM a tensor B x 5 x H x W"):
            net.preprocess(photo)


@pytest.mark.slow
def test_what_a_network_says_of_its_output_is_used_through_a_function_and_a_wrapper():
    class Wrapper(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner, self.loss = inner, torch.nn.BCEWithLogitsLoss()

        def forward(self, images):
            return self.inner(images - 0.5).logits

    net = transformers.ViTForImageClassification(config(problem_type="multi_label_classification")).eval()
    images = torch.rand(2, 3, 32, 32)
    for model in (lambda x: net(x), lambda x: net(x).logits, Wrapper(net)):
        found = MDM(model, sizes=(2, 4), steps=2)(images, 1)
        assert found.output == "independent logits of 3 classes"
        with torch.no_grad():
            logits = model(images)
        torch.testing.assert_close(found.score_before, getattr(logits, "logits", logits).sigmoid()[:, 1])
    assert MDM(lambda x: net(x).logits.softmax(dim=1), sizes=2, steps=2)(images, 1).output.startswith("probabilities")
    # The features have another number of values than the labels.
    assert MDM(lambda x: net.vit(x).last_hidden_state[:, 0], sizes=2, steps=2, objective="logit")(images, 1).output != (
        found.output
    )


@pytest.mark.slow
def test_what_a_checkpoint_says_of_its_output_is_used(folder):
    def output(**changes):
        transformers.ViTForImageClassification(config(**changes)).save_pretrained(folder)
        net = load_model(f"hf:{folder}")
        return MDM(net, sizes=(2, 4), steps=2)(torch.randn(2, 3, 32, 32), 0).output

    assert output(problem_type="multi_label_classification") == "independent logits of 3 classes"
    assert output(id2label={0: "age"}, label2id={"age": 0}) == "a number"
    assert output() == "logits of 3 classes"
