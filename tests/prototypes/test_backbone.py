"""A network cut in two computes what it computed whole."""

import functools

import pytest
import torch
from torch import Tensor, nn

from maskstack.errors import InputError, ModelError
from maskstack.models import load_model
from maskstack.prototypes.backbone import Backbone, cut_in_two

IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
EXAMPLE = IMAGES[:1]


class Layers(nn.Module):
    """With what real networks have: a residual, activations in place, layers that give a sequence or a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=4, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.SiLU(inplace=True)
        self.inner = nn.Conv2d(4, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 6, 1)
        self.flat = nn.Flatten(2)
        self.attention = nn.MultiheadAttention(6, 1, batch_first=True)
        self.head = nn.Linear(6, 2)
        self.unused = nn.Linear(2, 2)

    def forward(self, images: Tensor) -> Tensor:
        values = self.act(self.norm(self.first(images)))
        tokens = self.flat(self.second(values + self.inner(values))).transpose(1, 2)
        return self.head(self.attention(tokens, tokens, tokens)[0].mean(dim=1))


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.first(images if images.sum() > 0 else -images)


@functools.cache
def network(name: str) -> nn.Module:
    """With random weights and statistics that differ from a batch's."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if name == "toy":
            made: nn.Module = Layers()
        elif name == "bundled":
            pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'demo' is not installed")
            made = load_model("bundled,size=64").model
        else:
            library, _, model = name.partition(":")
            models = pytest.importorskip(library, reason="the extra 'models' is not installed")
            make = models.create_model if library == "timm" else models.get_model
            made = make(model, pretrained=False) if library == "timm" else make(model, weights=None)
        for layer in made.modules():
            if isinstance(layer, nn.BatchNorm2d) and name != "bundled":
                layer.running_mean.normal_(std=0.1)
                layer.running_var.uniform_(0.5, 1.5)
    return made.eval()


def output_of(model: nn.Module, layer: str) -> Tensor:
    """What the whole network's layer gives, heard by a hook."""
    heard: list[Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda *call: heard.append(call[-1].clone()))
    try:
        with torch.no_grad():
            model(IMAGES)
    finally:
        handle.remove()
    return heard[0]


CUTS = [
    ("bundled", "_blocks.4", "_blocks.2"),
    ("bundled", "_blocks.15", "_blocks.11"),
    ("bundled", "_blocks.15", ""),
    ("torchvision.models:resnet18", "layer3", "layer2"),
    ("torchvision.models:resnet18", "layer4", ""),
    ("torchvision.models:resnet18", "layer2.0.conv1", "layer1"),
    ("timm:resnet18", "layer3", "layer2"),
    ("timm:mobilenetv3_small_050", "blocks.3", "blocks.1"),
    ("timm:mobilenetv3_small_050", "blocks.3", ""),
    ("toy", "second", "first"),
    ("toy", "second", "act"),
    ("toy", "second", "second"),
]


@pytest.mark.parametrize(("name", "layer", "cut"), CUTS)
@pytest.mark.slow
def test_stem_and_tail_give_what_the_layer_gives(name: str, layer: str, cut: str) -> None:
    model = network(name)
    expected, before = output_of(model, layer), {key: value.clone() for key, value in model.state_dict().items()}
    backbone = cut_in_two(model, layer, cut, example=EXAMPLE)
    with torch.no_grad():
        half = backbone.stem(IMAGES)
        torch.testing.assert_close(half, output_of(model, cut or layer), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(backbone.tail(half.clone()), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(backbone(IMAGES), expected, rtol=1e-5, atol=1e-5)
    assert backbone.channels == expected.shape[1]
    after = model.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert not {id(p) for p in model.parameters()} & {id(p) for p in backbone.parameters()}, "it is a copy"


@pytest.mark.slow
def test_only_the_tail_learns_and_it_holds_only_its_own() -> None:
    model = network("torchvision.models:resnet18")
    backbone = cut_in_two(model, "layer3", "layer2", example=EXAMPLE)
    assert not any(parameter.requires_grad for parameter in backbone.stem.parameters())
    assert all(parameter.requires_grad for parameter in backbone.tail.parameters())

    def size(*parts: nn.Module) -> int:
        return sum(parameter.numel() for part in parts for parameter in part.parameters())

    assert size(backbone.tail) == size(model.layer3)
    assert size(backbone.stem) == size(model.conv1, model.bn1, model.layer1, model.layer2)
    backbone(IMAGES).square().mean().backward()
    assert all(parameter.grad is None for parameter in backbone.stem.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in backbone.tail.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torchvision.models:resnet18", "timm:mobilenetv3_small_050"])
def test_the_stem_computes_nothing_behind_the_cut(name: str) -> None:
    model = network(name)
    layers = [each for each, _ in model.named_children()]
    layer = "layer1" if "layer1" in layers else "blocks.1"
    stem = cut_in_two(model, layer, example=EXAMPLE).stem
    behind = ("layer2", "layer3", "fc", "blocks.2", "blocks.3", "blocks.4", "blocks.5", "conv_head", "classifier")
    assert not [each for each, _ in stem.named_parameters() if each.startswith(behind)]


@pytest.mark.parametrize("name", ["toy", "torchvision.models:resnet18"])
def test_it_stays_in_eval_mode_whatever_is_asked_for(name: str) -> None:
    layer, cut = ("second", "first") if name == "toy" else ("layer3", "layer2")
    backbone = cut_in_two(network(name), layer, cut, example=EXAMPLE)
    statistics = {key: value.clone() for key, value in backbone.named_buffers()}
    expected = backbone(IMAGES)
    around = nn.Sequential(backbone, nn.Dropout())
    assert around.train().training
    assert backbone.train() is backbone
    assert not any(module.training for module in backbone.modules())
    torch.testing.assert_close(backbone(IMAGES), expected)
    assert all(torch.equal(value, statistics[key]) for key, value in backbone.named_buffers())


def test_a_network_in_training_mode_is_cut_as_in_eval_mode_and_left_training() -> None:
    model = Layers().train()
    backbone = cut_in_two(model, "second", "first", example=EXAMPLE)
    assert all(module.training for module in model.modules())
    torch.testing.assert_close(backbone(IMAGES), output_of(model.eval(), "second"))


@pytest.mark.parametrize("cut", ["", "0"])
def test_channels_last_come_first(cut: str) -> None:
    """Swin's layers give B x h x w x C, which was read as maps of h channels."""

    class Last(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            return features.permute(0, 2, 3, 1)

    model = nn.Sequential(nn.Conv2d(3, 5, 3, stride=8, padding=1), nn.ReLU(), Last(), nn.Linear(5, 6)).eval()
    backbone = cut_in_two(model, "3", cut, example=EXAMPLE[:, :, :, :40])
    assert backbone.channels == 6
    torch.testing.assert_close(backbone(IMAGES), model(IMAGES).permute(0, 3, 1, 2))


def test_features_are_standardised_per_channel() -> None:
    backbone = Backbone(nn.Identity(), nn.Conv2d(3, 4, 3), channels=4)
    raw = backbone(IMAGES).detach()
    backbone.mean.copy_(torch.arange(4.0))
    backbone.std.copy_(torch.tensor([1.0, 2, 4, 0.5]))
    found = backbone.after(IMAGES).detach()
    for channel, (mean, std) in enumerate(((0, 1), (1, 2), (2, 4), (3, 0.5))):
        torch.testing.assert_close(found[:, channel], (raw[:, channel] - mean) / std)
    assert {"mean", "std"} <= set(backbone.state_dict())


def test_what_the_stem_made_can_be_used_again() -> None:
    backbone = cut_in_two(network("toy"), "second", "norm", example=EXAMPLE)
    with torch.no_grad():
        half = backbone.stem(IMAGES)
        kept, first = half.clone(), backbone.after(half)
        assert torch.equal(half, kept)
        assert torch.equal(backbone.after(half), first)


@pytest.mark.parametrize(
    ("name", "layer", "cut", "error", "words"),
    [
        ("torchvision.models:resnet18", "layr3", "", InputError, "no layer 'layr3'; did you mean layer3"),
        ("torchvision.models:resnet18", "layer3", "layr2", InputError, "no layer 'layr2'; did you mean layer2"),
        ("torchvision.models:resnet18", "fc", "", InputError, r"fc gives \(1, 1000\), not a map"),
        ("toy", "flat", "first", InputError, r"flat gives \(1, 6, 256\), not a map"),
        ("torchvision.models:resnet18", "layer3", "layer2.0.conv1", ModelError, "bypasses"),
        ("toy", "second", "inner", ModelError, "bypasses"),
        ("torchvision.models:resnet18", "layer1", "layer3", ModelError, "choose a cut"),
        ("toy", "unused", "", ModelError, "cannot be cut at unused"),
        ("toy", "attention", "", InputError, "not a map"),
    ],
)
def test_what_cannot_be_cut_is_said(name: str, layer: str, cut: str, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        cut_in_two(network(name), layer, cut, example=EXAMPLE)


def test_a_network_that_cannot_be_traced_is_refused_in_one_sentence() -> None:
    with pytest.raises(ModelError, match=r"cannot be cut at first.*choose another") as caught:
        cut_in_two(Branching(), "first", example=EXAMPLE)
    assert "\n" not in str(caught.value)
