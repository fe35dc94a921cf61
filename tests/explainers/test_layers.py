"""Which layer a class activation map is read from, without being told."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from maskstack import load_model
from maskstack.errors import InputError, ModelError
from maskstack.explainers.cam.layers import find_layer, layer_name
from maskstack.explainers.cam.token_grid import fits, token_grid

timm = pytest.importorskip("timm")
torchvision = pytest.importorskip("torchvision")

ONNX = Path(os.environ.get("MASKSTACK_DATA", "")) / "networks" / "mobilenetv2-imagenet.onnx"


def tiny_vit(size: tuple[int, int] = (32, 32), **options: object) -> nn.Module:
    own = {"img_size": size, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 3, "num_classes": 7}
    return timm.models.VisionTransformer(**{**own, **options})


def hf_vit() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 32}
    config = transformers.ViTConfig(image_size=32, patch_size=8, **sizes)
    return transformers.ViTForImageClassification(config)


def tiny_swin() -> nn.Module:
    return timm.models.SwinTransformer(
        img_size=(64, 96), patch_size=4, embed_dim=24, depths=(1, 1, 2), num_heads=(3, 3, 3), window_size=4
    )


def tv(name: str) -> nn.Module:
    return getattr(torchvision.models, name)(weights=None)


# Network, image, then name, channels, grid and layout of the layer.
KNOWN: dict[str, tuple[Callable[[], nn.Module], tuple[int, int], tuple[str, int, tuple[int, int], str]]] = {
    "bundled": (lambda: load_model("bundled").model, (224, 224), ("_swish", 1280, (7, 7), "channels first")),
    "resnet18": (lambda: tv("resnet18"), (96, 128), ("layer4", 512, (3, 4), "channels first")),
    "densenet121": (lambda: tv("densenet121"), (96, 128), ("features", 1024, (3, 4), "channels first")),
    "mobilenet_v2": (lambda: tv("mobilenet_v2"), (96, 128), ("features", 1280, (3, 4), "channels first")),
    "squeezenet1_1": (lambda: tv("squeezenet1_1"), (96, 128), ("features", 512, (5, 7), "channels first")),
    "resnet10t": (lambda: timm.create_model("resnet10t"), (96, 128), ("layer4", 512, (3, 4), "channels first")),
    "convnext": (lambda: timm.create_model("convnext_atto"), (96, 128), ("stages", 320, (3, 4), "channels first")),
    "swin": (tiny_swin, (64, 96), ("norm", 96, (4, 6), "channels last")),
    "vit": (tiny_vit, (32, 32), ("blocks.2.norm1", 24, (4, 4), "tokens")),
    "hf vit": (hf_vit, (32, 32), ("vit.layers.1.layernorm_before", 24, (4, 4), "tokens")),
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_layer_is_the_one_people_would_name(name: str) -> None:
    build, size, expected = KNOWN[name]
    torch.manual_seed(0)
    found = find_layer(build().eval(), image=torch.rand(1, 3, *size))
    if name == "hf vit":  # transformers 4 and 5 name the list of blocks differently
        assert found.name.endswith(".1.layernorm_before")
        expected = (found.name, *expected[1:])
    assert (found.name, found.channels, found.grid, found.layout) == expected


@pytest.mark.skipif(not ONNX.is_file(), reason="MASKSTACK_DATA is not set, so there is no such network to try")
def test_an_onnx_network_has_layers_too() -> None:
    found = find_layer(load_model(f"onnx:{ONNX},norm=half,classes=imagenet").model, image=torch.rand(1, 3, 224, 224))
    assert (found.channels, found.grid, found.layout) == (1280, (7, 7), "channels first")


@pytest.mark.slow
def test_an_activation_that_all_blocks_share_is_meant_where_it_is_called_last() -> None:
    found = find_layer(load_model("bundled").model, image=torch.rand(1, 3, 64, 96))
    assert found.call == found.calls - 1 == 1
    assert found.notes() == {"layer": "_swish, call 2 of 2", "grid": "2 x 3"}


@pytest.mark.parametrize(
    ("options", "prefix"),
    [
        ({}, 1),
        ({"class_token": False, "global_pool": "avg"}, 0),
        ({"reg_tokens": 4}, 5),
        ({"reg_tokens": 2, "class_token": False, "global_pool": "avg"}, 2),
    ],
)
def test_tokens_that_belong_to_no_place_are_left_out(options: dict[str, object], prefix: int) -> None:
    found = find_layer(tiny_vit((32, 48), **options).eval(), image=torch.rand(1, 3, 32, 48))
    assert (found.grid, found.prefix) == ((4, 6), prefix)
    assert found.notes()["tokens"].startswith(f"{prefix} at the front left out")
    tokens = torch.arange(float(prefix + 24)).reshape(1, -1, 1)
    assert torch.equal(found.on_grid(tokens)[0, 0], torch.arange(float(prefix), prefix + 24).reshape(4, 6))


def test_channels_that_come_last_are_moved() -> None:
    found = find_layer(tiny_swin().eval(), image=torch.rand(1, 3, 64, 96))
    output = torch.rand(2, 4, 6, 96)
    assert torch.equal(found.on_grid(output), output.permute(0, 3, 1, 2))


def test_token_grids() -> None:
    assert token_grid(4 * 6 + 3, image=(32, 48), patches=(4, 6)) == (3, (4, 6))
    assert token_grid(49, image=(224, 224), patches=(14, 14)) == (0, (7, 7))  # merged since the patches were cut
    assert token_grid(14 * 18 + 1, image=(225, 300)) == (1, (14, 18))
    assert token_grid(1, image=(32, 32)) is None
    assert token_grid(79, image=(32, 32)) is None
    assert fits((30, 38), (32, 40))
    assert not fits((64, 197), (224, 224))


class Toy(nn.Module):
    """A shared activation, a tuple, a layer nobody calls, and no linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.act, self.pool, self.pair = nn.ReLU(), nn.AdaptiveAvgPool2d(1), Pair()
        self.unused, self.head = nn.Conv2d(3, 3, 1), nn.Conv2d(8, 5, 1)

    def forward(self, images: Tensor) -> Tensor:
        images = self.act(self.second(self.act(self.first(images))))
        return self.pool(self.pair(self.head(images))[0]).flatten(1)


class Pair(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, None]:
        return images, None


def test_class_maps_are_passed_over_unless_there_is_nothing_else() -> None:
    assert find_layer(Toy(), image=torch.rand(1, 3, 16, 24)).notes() == {"layer": "act, call 2 of 2", "grid": "8 x 12"}
    only = nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert find_layer(only, image=torch.rand(1, 3, 16, 24)).name == "0"
    by_chance = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 5)
    )
    assert find_layer(by_chance, image=torch.rand(1, 3, 16, 24)).name == "1"


def test_a_layer_is_taken_by_its_name_or_itself() -> None:
    net, image = Toy(), torch.rand(1, 3, 16, 24)
    assert find_layer(net, "first", image=image).channels == 6
    assert find_layer(net, net.first, image=image).name == "first"
    assert find_layer(net, "act", image=image).call == 1
    assert layer_name(nn.Sequential(nn.ReLU()), 0) == "0"


WRONG = {
    "fist": r"no layer 'fist'; did you mean first",
    "unused": "the layer unused is not called when the network runs; choose another, such as act",
    "pair": "the layer pair gives a tuple, not a tensor; choose another, such as act",
    "pool": "the layer pool gives 1 x 5 x 1 x 1, in which there is no height and width; choose another, such as act",
}


@pytest.mark.parametrize("layer", WRONG)
def test_a_layer_that_cannot_be_read_gets_one_sentence_with_its_name_and_shape(layer: str) -> None:
    with pytest.raises(InputError, match=WRONG[layer]):
        find_layer(Toy(), layer, image=torch.rand(1, 3, 16, 24))


def test_a_layer_of_another_network_is_refused() -> None:
    with pytest.raises(InputError, match="the layer Conv2d is not a submodule of the network"):
        find_layer(Toy(), Toy().first, image=torch.rand(1, 3, 16, 24))


@pytest.mark.slow
def test_networks_without_layers_get_one_sentence() -> None:
    image = torch.rand(1, 3, 16, 24)
    exported = torch.export.export(Toy().eval(), (image,)).module()
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 24, 3))
    for net in (exported, lambda images: images, nn.Flatten(), flat):
        with pytest.raises(ModelError, match=r"no layer of the network has a spatial output.*MDM"):
            find_layer(net, image=image)


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_no_hook_is_left_behind(error: type[BaseException] | None) -> None:
    net = Toy()

    def call(images: Tensor) -> Tensor:
        net(images)
        if error:
            raise error
        return net(images)

    if error:
        with pytest.raises(error):
            find_layer(net, image=torch.rand(1, 3, 16, 24), call=call)
    else:
        find_layer(net, image=torch.rand(1, 3, 16, 24), call=call)
    assert not any(module._forward_hooks for module in net.modules())
