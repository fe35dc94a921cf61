"""timm and torchvision: built without weights, as nothing may be downloaded here."""

import pytest
import torch
from safetensors.torch import save_file

from maskstack.errors import InputError, ModelError
from maskstack.models import imagenet_names, load_model


@pytest.fixture(scope="module")
def timm():
    return pytest.importorskip("timm")


@pytest.fixture(scope="module")
def torchvision():
    return pytest.importorskip("torchvision")


def test_timm(timm, photo):
    model = load_model("timm:mobilenetv3_small_050,num_classes=7")
    assert (model.weights, model.class_names, model.input_size) == ("random", (), (224, 224))
    config = timm.data.resolve_model_data_config(model.model)
    theirs = timm.data.create_transform(**config, is_training=False)(photo)
    assert torch.equal(model.preprocess(photo), theirs)
    assert model.model(model.preprocess(photo)[None]).shape == (1, 7)


def test_timm_grey(timm, photo):
    model = load_model("timm:mobilenetv3_small_050,channels=1")
    assert model.preprocess(photo).shape == (1, 224, 224)


def test_timm_transformers_are_built_for_the_size(timm):
    assert load_model("timm:vit_tiny_patch16_224,size=64").input_size == (64, 64)
    assert load_model("timm:mobilenetv3_small_050,size=64x96").input_size == (64, 96)


def test_timm_misspelt(timm):
    with pytest.raises(InputError, match=r"did you mean resnet18\?"):
        load_model("timm:resnet_18")
    with pytest.raises(InputError, match=r"timm has no network 'zzzzz'; timm.list_models\(\) names all$"):
        load_model("timm:zzzzz")


def test_timm_hub_names_need_the_flag(timm):
    with pytest.raises(InputError, match="pretrained"):
        load_model("timm:hf-hub:timm/resnet18.a1_in1k")


def test_timm_failed_download(timm, monkeypatch):
    def fail(*_args, **_options):
        raise OSError("no route\nto host")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(ModelError, match="no route") as caught:
        load_model("timm:resnet18,pretrained")
    assert "\n" not in str(caught.value)


def test_timm_weights_from_a_file_have_imagenet_names(timm, tmp_path):
    save_file(timm.create_model("mobilenetv3_small_050").state_dict(), tmp_path / "mine.safetensors")
    model = load_model("timm:mobilenetv3_small_050", weights=tmp_path / "mine.safetensors")
    assert (model.weights, model.class_names) == ("mine.safetensors", imagenet_names())


def test_torchvision(torchvision, photo):
    model = load_model("torchvision:squeezenet1_1,num_classes=7")
    assert (model.weights, model.class_names, model.input_size) == ("random", (), (224, 224))
    theirs = torchvision.models.SqueezeNet1_1_Weights.DEFAULT.transforms()(photo)
    assert torch.equal(model.preprocess(photo), theirs)


def test_torchvision_segmentation_downloads_no_backbone(torchvision, monkeypatch):
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_: pytest.fail("something was downloaded"))
    model = load_model("torchvision:lraspp_mobilenet_v3_large,size=64")
    assert model.model(torch.rand(1, 3, 64, 64))["out"].shape == (1, 21, 64, 64)


def test_torchvision_misspelt(torchvision):
    with pytest.raises(InputError, match="did you mean"):
        load_model("torchvision:squeeznet1_1")


@pytest.mark.parametrize("name", ["fasterrcnn_mobilenet_v3_large_fpn", "r3d_18", "raft_small"])
def test_torchvision_of_other_inputs(torchvision, name):
    with pytest.raises(ModelError) as caught:
        load_model(f"torchvision:{name}")
    assert "\n" not in str(caught.value)


def test_torchvision_failed_download(torchvision, monkeypatch):
    def fail(*_args, **_options):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", fail)
    with pytest.raises(ModelError, match="no route"):
        load_model("torchvision:squeezenet1_1,pretrained")


def test_torchvision_pretrained_is_what_was_downloaded(torchvision, monkeypatch):
    state = torchvision.models.squeezenet1_1().state_dict()
    asked = {}
    monkeypatch.setattr(
        torchvision.models._api,
        "load_state_dict_from_url",
        lambda _url, **options: asked.update(options) or state,
    )
    model = load_model("torchvision:squeezenet1_1,pretrained")
    assert (model.weights, model.class_names) == ("pretrained", imagenet_names())
    assert asked["weights_only"] is True
