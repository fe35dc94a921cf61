"""Does the map depend on what the network has learned?"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from tests.metrics.toy import drawn
from torch import nn

from maskstack.errors import InputError
from maskstack.metrics import cascade, randomization, rank_correlation, structural_similarity

IMAGE = drawn(1, 3, 16, 16)


def network() -> nn.Module:
    torch.manual_seed(0)
    convolutions = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 5)).eval()


def gradient_map(net: nn.Module) -> torch.Tensor:
    image = IMAGE.clone().requires_grad_()
    net(image)[0, 2].backward()
    found = image.grad.abs().amax(dim=(0, 1))
    return found / found.max()


def edge_map() -> torch.Tensor:
    """A map that depends on the image only, as guided backpropagation nearly does."""
    return IMAGE[0].mean(dim=0)


def written_out_ranks(values: list[float]) -> list[float]:
    """Ranks; equal values share their mean rank."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2 for value in values
    ]


@given(st.integers(2, 7), st.integers(2, 7), st.integers(1, 5), st.integers(0, 2**31))
@settings(deadline=None, max_examples=40)
def test_rank_correlation_is_the_written_out_one(height, width, levels, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.randint(levels + 1, (height, width), generator=generator).float() for _ in range(2)]
    for saliency in maps:
        saliency[0, 0], saliency[0, 1] = 0, 1  # Not constant.
    expected = np.corrcoef(*(written_out_ranks(saliency.flatten().tolist()) for saliency in maps))[0, 1]
    value = rank_correlation(*maps)
    assert value == pytest.approx(expected, abs=1e-9)
    assert value == pytest.approx(rank_correlation(*maps[::-1]), abs=1e-9)
    assert value == pytest.approx(rank_correlation(maps[0].exp(), maps[1] ** 3 - 5), abs=1e-9), "only the order counts"
    assert rank_correlation(maps[0], maps[0]) == pytest.approx(1)
    assert rank_correlation(maps[0], -maps[0]) == pytest.approx(-1)
    assert -1 <= value <= 1


def test_constant_maps_order_nothing() -> None:
    assert rank_correlation(torch.zeros(4, 4), drawn(4, 4)) == 0
    assert rank_correlation(drawn(4, 4), torch.ones(4, 4)) == 0
    assert rank_correlation(torch.ones(4, 4), torch.zeros(4, 4)) == 1


def written_out_ssim(one: np.ndarray, other: np.ndarray) -> float:
    """Equation 13 of Wang et al. 2004, for windows inside the image."""

    def mean(values: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(values, 1.5, radius=5)[5:-5, 5:-5]

    a, b = mean(one), mean(other)
    shared = mean(one * other) - a * b
    spread = mean(one**2) - a**2 + mean(other**2) - b**2
    c1, c2 = 0.01**2, 0.03**2
    return float(((2 * a * b + c1) * (2 * shared + c2) / ((a**2 + b**2 + c1) * (spread + c2))).mean())


@given(st.integers(11, 25), st.integers(11, 25), st.floats(0, 1), st.integers(0, 2**31))
@settings(deadline=None, max_examples=25)
def test_structural_similarity_is_the_written_out_one(height, width, share, seed) -> None:
    one = drawn(height, width, seed=seed)
    other = torch.lerp(one, drawn(height, width, seed=seed + 1), share)
    value = structural_similarity(one, other)
    assert value == pytest.approx(written_out_ssim(one.double().numpy(), other.double().numpy()), abs=1e-6)
    assert structural_similarity(one, one) == pytest.approx(1)
    assert -1 <= value <= 1 + 1e-9


def test_a_map_of_the_weights_changes_and_one_of_the_image_does_not() -> None:
    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    depths = randomization(lambda: gradient_map(net), net)
    assert [depth.layer for depth in depths] == ["6", "2", "0"], "the original network is not a depth"
    assert all(depth.rank_correlation < 0.7 and depth.structural_similarity < 0.9 for depth in depths)
    blind = randomization(edge_map, net)
    assert all(depth.rank_correlation > 0.999 and depth.structural_similarity > 0.999 for depth in blind)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_every_depth_is_what_its_network_gives() -> None:
    net, twin = network(), network()
    depths = randomization(lambda: gradient_map(net), net, seed=3)
    original, found = gradient_map(twin), []
    with cascade(twin, seed=3) as layers:
        for _ in layers:
            found.append(gradient_map(twin))
    assert [depth.rank_correlation for depth in depths] == [rank_correlation(each, original) for each in found]
    assert [depth.structural_similarity for depth in depths] == [
        structural_similarity(each, original) for each in found
    ]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(1, [7]), (2, [4, 7]), (3, [2, 5, 7]), (7, list(range(1, 8))), (50, list(range(1, 8))), (None, list(range(1, 8)))],
)
def test_depths_are_evenly_spaced_down_to_the_input(steps, expected) -> None:
    net = nn.Sequential(*(nn.Linear(2, 2) for _ in range(7)))
    calls = []

    def explain() -> torch.Tensor:
        calls.append(1)
        return IMAGE[0, 0]

    depths = randomization(explain, net, original=IMAGE[0, 0], steps=steps)
    assert [7 - int(depth.layer) for depth in depths] == expected
    assert len(calls) == len(expected)


def test_fewer_steps_and_named_layers_give_the_same_where_they_look() -> None:
    net = network()
    every = randomization(lambda: gradient_map(net), net)
    some = randomization(lambda: gradient_map(net), net, original=gradient_map(net), steps=1)
    named = randomization(lambda: gradient_map(net), net, layers=["6"])
    assert some == every[-1:]
    assert named == every[:1]


def test_an_explainer_that_fails_leaves_the_network_as_it_was() -> None:
    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}

    def fail() -> torch.Tensor:
        raise RuntimeError("no map")

    with pytest.raises(RuntimeError, match="no map"):
        randomization(fail, net, original=edge_map())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_maps_that_do_not_fit_are_refused() -> None:
    net = network()
    with pytest.raises(InputError, match="steps"):
        randomization(edge_map, net, steps=0)
    for metric in (rank_correlation, structural_similarity):
        with pytest.raises(InputError, match="height and width must be equal"):
            metric(drawn(12, 12), drawn(12, 13))
        with pytest.raises(InputError, match="NaN"):
            metric(drawn(12, 12), torch.full((12, 12), torch.nan))
    with pytest.raises(InputError, match="window"):
        structural_similarity(drawn(10, 30), drawn(10, 30))
