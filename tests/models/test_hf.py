import logging

import pytest
import torch

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


def test_a_failed_download_is_one_sentence(monkeypatch):
    def fail(*_args, **_options):
        raise OSError("We couldn't connect\nand much more")

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
    assert _geometry("name", settings) == geometry


def test_processors_without_a_fixed_size():
    with pytest.raises(ModelError, match="fixed size"):
        _geometry("name", {"size": {"longest_edge": 1024}})
