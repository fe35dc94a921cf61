"""Where a prototype is found: its own pattern, by any method, whoever else is searched for."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from maskstack.errors import InputError
from maskstack.explainers.table import METHODS
from maskstack.prototypes.backbone import Backbone
from maskstack.prototypes.protopnet import ProtoPNet
from maskstack.prototypes.search import SEARCH_METHODS, Activations, finder, locate
from maskstack.prototypes.xprotonet import XProtoNet

SIDE, CELL = 32, 8
OWNERS = (0, 0, 1)
COLOURS = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
KINDS = ("protopnet", "xprotonet")
QUICK = {"sizes": (2, 4), "steps": 6}


def colours(kind: str) -> ProtoPNet | XProtoNet:
    """Each prototype stands for a colour: red, green, blue; features are the mean colours of cells."""
    backbone = Backbone(nn.AvgPool2d(CELL), nn.Identity(), channels=3)
    made = (ProtoPNet if kind == "protopnet" else XProtoNet)(backbone, OWNERS, classes=2, dimension=3)
    with torch.no_grad():
        for layer in made.add_on[0], made.add_on[2]:
            layer.weight.copy_(torch.eye(3).view(3, 3, 1, 1))
            layer.bias.zero_()
        if isinstance(made, ProtoPNet):
            made.prototypes.copy_(COLOURS.sigmoid())
        else:
            made.occurring[0].weight.copy_(4 * torch.eye(3).view(3, 3, 1, 1))
            made.occurring[0].bias.fill_(-2)
            made.occurring[2].weight.copy_(4 * torch.eye(3).view(3, 3, 1, 1))
            made.prototypes.copy_(COLOURS)
    return made.eval()


def patched(*places: tuple[int, int, int]) -> Tensor:
    """A dark image with cells of pure colours: colour, row, column."""
    image = 0.05 * torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    for colour, row, column in places:
        cell = image[:, CELL * row : CELL * (row + 1), CELL * column : CELL * (column + 1)]
        cell.copy_(COLOURS[colour].view(3, 1, 1).expand_as(cell))
    return image


IMAGE = patched((0, 1, 3), (1, 2, 0), (2, 0, 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["native", "mdm:steps=5", "smoothgrad", "occlusion", "random"])
def test_a_row_for_each_prototype_with_its_activation(kind: str, method: str) -> None:
    network = colours(kind)
    options = {"sizes": (2, 4)} if method.startswith("mdm") else {}
    found = locate(network, IMAGE, [2, 0], method, **options)
    assert found.saliency.shape == (2, 1, SIDE, SIDE)
    assert found.saliency.min() >= 0
    assert found.saliency.max() <= 1
    assert found.target == (2, 0)
    with torch.no_grad():
        expected = network.activations(IMAGE.unsqueeze(0))[0, [2, 0]]
    torch.testing.assert_close(found.score_before, expected)
    assert locate(network, IMAGE, 1, method, **options).target == (1,)


@pytest.mark.parametrize("kind", KINDS)
def test_the_native_map_is_the_networks_own_upsampled(kind: str) -> None:
    network = colours(kind)
    images = torch.stack([IMAGE, IMAGE.flip(2), IMAGE.flip(1)])
    found = locate(network, images, [2, 0, 0], "native")
    mode = "bicubic" if kind == "protopnet" else "bilinear"
    for row, prototype in enumerate((2, 0, 0)):
        with torch.no_grad():
            own = network.maps(images[[row]])[:, [prototype]]
        large = functional.interpolate(own, size=(SIDE, SIDE), mode=mode, align_corners=False)[0, 0].clamp(min=0)
        expected = (large - large.min()) / (large.max() - large.min())
        torch.testing.assert_close(found.saliency[row, 0], expected)
        torch.testing.assert_close(found.grids[0][row], own[0, 0])
    assert found.settings["upsampling"] == mode
    assert found.method == "native"
    assert found.trust.problems == (None, None, None)
    assert torch.equal(found.saliency[2], finder(network, "native", batch_size=1)(images[2:], [0]).saliency[0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_native_passes_are_counted_as_its_cost_says(kind: str) -> None:
    calls: list[int] = []
    network = colours(kind)
    search = finder(network, "native")
    network.backbone.stem.register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))
    found = search(torch.stack([IMAGE, IMAGE]), [0, 1])
    assert sum(calls) <= search.cost(2)["forward"]
    assert int(found.forward_passes.sum()) == sum(calls)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_prototypes_searched_for_together_are_found_as_alone(kind: str) -> None:
    network = colours(kind)
    images = torch.stack([IMAGE, IMAGE.flip(2), IMAGE])
    together = locate(network, images, [0, 1, 2], "mdm", **QUICK)
    for row in range(3):
        alone = locate(network, images[row], row, "mdm", **QUICK)
        torch.testing.assert_close(together.saliency[row], alone.saliency[0], atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(together.score_before[row], alone.score_before[0])
    once = locate(network, IMAGE, [0, 2], "mdm", **QUICK)
    torch.testing.assert_close(once.saliency[0], together.saliency[0], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(once.saliency[1], together.saliency[2], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["mdm:steps=5", "native", "smoothgrad"])
def test_the_network_comes_back_as_it_was(kind: str, method: str) -> None:
    network = colours(kind)
    network.add_on.train()
    network.prototypes.requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    learns = [parameter.requires_grad for parameter in network.parameters()]
    image = IMAGE.clone()
    locate(network, image, [0, 1], method)
    assert torch.equal(image, IMAGE)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert [module.training for module in network.modules()] == modes
    assert [parameter.requires_grad for parameter in network.parameters()] == learns
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("prototype", "row", "column"), [(0, 1, 3), (1, 2, 0), (2, 0, 1)])
def test_the_map_lies_where_the_prototypes_pattern_does(kind: str, prototype: int, row: int, column: int) -> None:
    found = locate(colours(kind), IMAGE, prototype, "mdm", sizes=(4,), steps=60).saliency[0, 0]
    cells = functional.avg_pool2d(found[None, None], CELL)[0, 0]
    assert divmod(int(cells.argmax()), 4) == (row, column)
    right, left = found[:, SIDE // 2 :].mean().item(), found[:, : SIDE // 2].mean().item()
    assert (right > left) == (column >= 2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_pattern_in_a_photographs_right_half_is_found_there(kind: str) -> None:
    photos = pytest.importorskip("skimage.data", reason="the extra 'demo' is not installed")
    photo = torch.from_numpy(photos.chelsea()).permute(2, 0, 1).unsqueeze(0) / 255
    image = functional.interpolate(photo, size=(SIDE, SIDE), mode="area")[0] * 0.5
    image[:, CELL : 2 * CELL, 3 * CELL :] = COLOURS[2].view(3, 1, 1)
    for mirrored in (False, True):
        seen = image.flip(2) if mirrored else image
        found = locate(colours(kind), seen, 2, "mdm", sizes=(2, 4), steps=40).saliency[0, 0]
        right, left = found[:, SIDE // 2 :].mean().item(), found[:, : SIDE // 2].mean().item()
        assert (left if mirrored else right) > 1.5 * (right if mirrored else left)


@pytest.mark.slow
def test_options_in_the_methods_name_stand_over_the_others() -> None:
    network = colours("protopnet")
    assert locate(network, IMAGE, 0, "mdm:steps=5", sizes=(2, 4)).settings["steps"] == 5
    assert locate(network, IMAGE, 0, "mdm:steps=5", sizes=(2, 4), steps=9).settings["steps"] == 5
    found = locate(network, IMAGE, 0, "mdm", sizes=(2, 4), steps=3)
    assert found.settings["steps"] == 3
    assert found.steps.max() == 3
    assert found.objective == locate(network, IMAGE, 0, "native").objective
    with pytest.raises(InputError, match="no option 'nonsense'"):
        locate(network, IMAGE, 0, "occlusion:nonsense=1")
    with pytest.raises(InputError, match=r"mdm has no option 'stepz'.*did you mean steps"):
        locate(network, IMAGE, 0, "mdm", stepz=3)
    with pytest.raises(InputError, match="native has no option 'steps'"):
        locate(network, IMAGE, 0, "native", steps=3)


def test_the_number_of_a_prototype_may_be_a_tensor_or_of_numpy() -> None:
    network = colours("protopnet")
    with torch.no_grad():
        most_active = network.activations(IMAGE.unsqueeze(0))[0].argmax()
    assert locate(network, IMAGE, most_active, "native").target == (int(most_active),)
    assert locate(network, IMAGE, np.int64(2), "native").target == (2,)
    assert locate(network, IMAGE, np.array([2, 0]), "native").target == (2, 0)


@pytest.mark.parametrize("method", ["native:nonsense=1", "native:steps=5"])
def test_the_native_map_refuses_options_that_it_does_not_have(method: str) -> None:
    with pytest.raises(InputError, match="no option"):
        locate(colours("protopnet"), IMAGE, 0, method)


def test_activations_are_an_explainers_output() -> None:
    network = colours("protopnet")
    batch = torch.stack([IMAGE, IMAGE.flip(1)])
    assert torch.equal(Activations(network)(batch), network.activations(batch))
    assert set(SEARCH_METHODS) == {"native", *METHODS}


@pytest.mark.parametrize(
    ("image", "prototype", "method", "words"),
    [
        (IMAGE, 3, "mdm", "no prototype 3; the network has 0 to 2"),
        (IMAGE, -1, "native", "no prototype -1"),
        (IMAGE, [0, 7, 1], "native", "no prototype 7"),
        (IMAGE, [], "native", r"prototype is \[\]; give the number"),
        (IMAGE, True, "native", "prototype is True; give the number"),
        (IMAGE, 1.0, "native", "prototype is 1.0; give the number"),
        (IMAGE, "red", "native", "prototype is 'red'; give the number"),
        (IMAGE.numpy(), 0, "native", "image is an ndarray; give a tensor C x H x W, as"),
        (IMAGE[0], 0, "native", r"the image has shape \(32, 32\)"),
        (IMAGE, 0, "zzz", "no method 'zzz' to search with; the methods are native, mdm,"),
        (IMAGE, 0, "mmd", "no method 'mmd' to search with; did you mean mdm"),
        (IMAGE, 0, "natve", "did you mean native"),
        (IMAGE.expand(2, -1, -1, -1), 0, "native", "2 images for 1 prototypes"),
        (IMAGE.expand(2, -1, -1, -1), [0, 1, 2], "native", "2 images for 3 prototypes"),
    ],
)
def test_what_cannot_be_searched_for_is_said(
    image: Tensor, prototype: int | list[int], method: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        locate(colours("protopnet"), image, prototype, method)


def test_a_network_of_ones_own_is_sent_to_mdm() -> None:
    with pytest.raises(InputError, match=r"the network is a Conv2d, not a ProtoPNet.* with MDM"):
        locate(nn.Conv2d(3, 3, 1), IMAGE, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_nearness_orders_images_as_the_activation_does(kind: str) -> None:
    network = colours(kind)
    images = torch.rand(20, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        near, active = network.nearness(images), network.activations(images)
    assert torch.equal(near.argsort(dim=0), active.argsort(dim=0))


def test_nearness_finds_the_patch_in_the_image_it_came_from() -> None:
    """On its own image a prototype is at no distance: each speck that is hidden ends the activation."""
    network = colours("protopnet")
    image = patched((0, 1, 2))
    with torch.no_grad():
        network.prototypes[0] = network.embed(network.backbone.stem(image[None]))[0, :, 1, 2]
    cell = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    cell[CELL : 2 * CELL, 2 * CELL : 3 * CELL] = True
    found = finder(network, "mdm", nearness=True, **QUICK)(image[None], [0])
    assert float(found.score_before) == pytest.approx(0, abs=1e-3)
    saliency = found.saliency[0, 0]
    assert saliency[cell].mean() > 2 * saliency[~cell].mean()
