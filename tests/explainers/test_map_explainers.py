"""What every method that gives only maps promises: its result, a batch, the user's network, its cost."""

import numpy as np
import pytest
import torch
from tests.small import network
from torch import Tensor, nn

from maskstack import InputError, ModelError
from maskstack.explainers.controls import Control
from maskstack.explainers.extremal import ExtremalPerturbation
from maskstack.explainers.gradients import GradientSHAP, IntegratedGradients, SmoothGrad
from maskstack.explainers.perturbations import LIME, KernelSHAP, Occlusion
from maskstack.explainers.rise import RISE
from maskstack.objectives import class_probability

QUICK = {
    "ig": (IntegratedGradients, {"steps": 7}),
    "smoothgrad": (SmoothGrad, {"samples": 6}),
    "gradientshap": (GradientSHAP, {"samples": 6, "noise": 0.1}),
    "occlusion": (Occlusion, {"window": 9, "stride": 5}),
    "lime": (LIME, {"samples": 30, "segments": 8}),
    "kernelshap": (KernelSHAP, {"samples": 30, "segments": 8}),
    "rise": (RISE, {"masks": 21, "grid": 4}),
    "extremal": (ExtremalPerturbation, {"steps": 5, "areas": (0.1, 0.3), "cells": 8}),
    "random": (Control, {"kind": "random"}),
    "centre": (Control, {"kind": "centre"}),
    "edges": (Control, {"kind": "edges"}),
}
GRADIENT = ("ig", "smoothgrad", "gradientshap", "extremal")
CONTROLS = ("random", "centre", "edges")
every = pytest.mark.parametrize("method", QUICK)
networked = pytest.mark.parametrize("method", [method for method in QUICK if method not in CONTROLS])


def photos(count: int) -> Tensor:
    """Smooth patches with a little noise: what has regions to be found."""
    generator = torch.Generator().manual_seed(1)
    patches = torch.randn(count, 3, 4, 5, generator=generator)
    images = nn.functional.interpolate(patches, size=(32, 40), mode="bicubic")
    return 2 * images + 0.1 * torch.randn(count, 3, 32, 40, generator=generator)


def make(method: str, net: nn.Module, **options: object):
    build, quick = QUICK[method]
    return build(net, **{**quick, **options})


@every
def test_a_batch_equals_its_images_alone_each_with_its_own_target(method: str) -> None:
    net, images, targets = network(), photos(3), [4, 0, 2]
    explainer = make(method, net)
    together = explainer(images, targets)
    assert together.target == (4, 0, 2)
    for row, target in enumerate(targets):
        alone = explainer(images[row : row + 1], target)
        assert torch.allclose(together.saliency[row], alone.saliency[0], atol=1e-3)
    if method not in CONTROLS:
        other = explainer(images[:1], 1)
        assert not torch.allclose(together.saliency[0], other.saliency[0], atol=1e-2)


@every
def test_maps_are_finite_from_0_to_1_and_of_the_images_size(method: str) -> None:
    found = make(method, network())(photos(2))
    assert found.saliency.shape == (2, 1, 32, 40)
    assert found.saliency.dtype == torch.float32
    assert torch.isfinite(found.saliency).all()
    assert found.saliency.amin(dim=(1, 2, 3)).tolist() == [0, 0]
    assert found.saliency.amax(dim=(1, 2, 3)).tolist() == [1, 1]
    assert found.method == method
    assert found.trust.problems == (None, None)


@every
def test_the_same_settings_give_the_same_map_and_leave_the_network_unchanged(method: str) -> None:
    net, images = network(), photos(2)
    net[0].weight.grad = torch.ones_like(net[0].weight)
    net[3].bias.requires_grad_(False)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    flags = [parameter.requires_grad for parameter in net.parameters()]
    seen = images.clone()
    torch.manual_seed(5)
    np.random.seed(5)
    wanted = torch.rand(3), np.random.rand(3)
    torch.manual_seed(5)
    np.random.seed(5)
    first = make(method, net)(images, 1)
    assert torch.equal(torch.rand(3), wanted[0])
    assert (np.random.rand(3) == wanted[1]).all()
    build, quick = QUICK[method]
    again = build(net, **{**quick, **first.settings})(images, 1)
    assert torch.equal(first.saliency, again.saliency)
    assert torch.equal(images, seen)
    assert not images.requires_grad
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert [parameter.requires_grad for parameter in net.parameters()] == flags
    assert torch.equal(net[0].weight.grad, torch.ones_like(net[0].weight))
    assert all(module.training for module in net.modules())
    assert not any(module._forward_hooks or module._backward_hooks for module in net.modules())


@every
def test_works_frozen_in_inference_and_with_doubles(method: str) -> None:
    net, images = network(), photos(1)
    plain = make(method, net)(images, 1).saliency
    net.requires_grad_(False)
    with torch.no_grad():
        assert torch.allclose(make(method, net)(images, 1).saliency, plain, atol=1e-6)
    # Ten segments or masks can tie in one precision and not in the other; the map only has to be one.
    double = make(method, net.double())(images.double(), 1).saliency
    assert torch.isfinite(double).all()


@networked
def test_the_passes_are_those_the_network_saw_and_those_that_cost_said(method: str) -> None:
    net, images = network(), photos(3)
    sent = {"forward": 0, "backward": 0, "largest": 0}

    def count(_module: nn.Module, inputs: tuple[Tensor], _output: Tensor) -> None:
        sent["forward"] += len(inputs[0])
        sent["largest"] = max(sent["largest"], len(inputs[0]))

    def count_back(_module: nn.Module, gradients: tuple[Tensor], _outputs: tuple[Tensor]) -> None:
        sent["backward"] += len(gradients[0])

    explainer = make(method, net, batch_size=4)
    with net[0].register_forward_hook(count), net[-1].register_full_backward_hook(count_back):
        found = explainer(images, [0, 1, 2])
    assert int(found.forward_passes.sum()) == sent["forward"]
    assert int(found.backward_passes.sum()) == sent["backward"]
    assert found.forward_passes.unique().numel() == 1
    assert sent["largest"] <= 4
    cost = explainer.cost(3, size=(32, 40))
    assert cost == {"forward": sent["forward"], "backward": sent["backward"]}


@pytest.mark.parametrize("method", [method for method in QUICK if method in ("ig", "smoothgrad", "occlusion", "rise")])
def test_the_size_of_passes_does_not_change_the_map(method: str) -> None:
    net, images = network(), photos(1)
    maps = [make(method, net, batch_size=size)(images, 1).saliency for size in (64, 3)]
    # SmoothGrad's noise is drawn pass by pass, so there only the noise's mean is the same.
    assert torch.allclose(maps[0], maps[1], atol=0.7 if method == "smoothgrad" else 1e-4)


@networked
def test_the_seed_matters_where_there_is_chance(method: str) -> None:
    net, images = network(), photos(1)
    if "seed" not in make(method, net).settings:
        return
    first, second = (make(method, net, seed=seed)(images, 1).saliency for seed in (0, 1))
    assert not torch.allclose(first, second, atol=1e-3)


@networked
def test_any_objective_can_be_explained(method: str) -> None:
    net, images = network(), photos(2)
    a = make(method, net)(images, class_probability([1, 3])).saliency
    b = make(method, net)(images, lambda output: output.softmax(dim=1)[:, 3]).saliency
    assert torch.allclose(a[1], b[1], atol=1e-4)


@pytest.mark.parametrize("method", GRADIENT)
def test_no_gradient_is_said_in_a_sentence(method: str) -> None:
    with pytest.raises(ModelError, match="no gradient reaches the image"):
        make(method, network())(photos(1), lambda output: output.detach()[:, 0])


@pytest.mark.parametrize("method", ["occlusion", "lime", "kernelshap", "rise"])
def test_black_boxes_need_no_gradient(method: str) -> None:
    net = network().eval()

    def black_box(images: Tensor) -> np.ndarray:
        return torch.from_numpy(net(images).detach().numpy())

    found = make(method, black_box)(photos(1), 1)
    assert torch.allclose(found.saliency, make(method, net)(photos(1), 1).saliency, atol=1e-4)


@networked
def test_one_colour_gives_a_map_and_grey_images_work(method: str) -> None:
    flat = make(method, network())(torch.zeros(1, 3, 32, 40), 1)
    assert torch.isfinite(flat.saliency).all()
    torch.manual_seed(0)
    grey = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))
    assert make(method, grey)(photos(2)[:, :1], 1).saliency.shape == (2, 1, 32, 40)


@pytest.mark.parametrize(
    ("method", "option", "value"),
    [
        ("ig", "steps", 0),
        ("smoothgrad", "samples", 2.5),
        ("smoothgrad", "noise", -0.1),
        ("gradientshap", "blur", float("nan")),
        ("occlusion", "window", 0),
        ("occlusion", "stride", True),
        ("lime", "segments", 1),
        ("lime", "kernel_width", 0),
        ("kernelshap", "seed", -1),
        ("rise", "p", 1.0),
        ("rise", "masks", "many"),
        ("rise", "batch_size", 0),
        ("extremal", "areas", 1.5),
        ("extremal", "areas", ()),
        ("extremal", "learning_rate", 0),
    ],
)
def test_wrong_options_are_named(method: str, option: str, value: object) -> None:
    with pytest.raises(InputError, match=option):
        make(method, network(), **{option: value})


@every
def test_a_misspelt_option_is_refused(method: str) -> None:
    make, options = QUICK[method]
    with pytest.raises(
        InputError, match=f"the method {method} has no option 'batch_sizes'; it has .*did you mean batch_size"
    ):
        make(network(), **options, batch_sizes=4)
