"""The controls know nothing of the network, and nothing of chance but their seed."""

import pytest
import torch
from tests.small import network, photos

from maskstack.explainers.controls import KINDS, Control

every = pytest.mark.parametrize("kind", list(KINDS))


@every
def test_another_network_or_class_gives_the_same_map(kind: str) -> None:
    first = Control(network(0), kind=kind)(photos(2), 0)
    second = Control(network(1), kind=kind)(photos(2), 2)
    assert torch.equal(first.saliency, second.saliency)
    assert first.score_before.tolist() != second.score_before.tolist()


@every
def test_it_takes_the_two_passes_it_says(kind: str) -> None:
    control = Control(network(0), kind=kind)
    found = control(photos(3))
    assert control.cost(3) == {"forward": int(found.forward_passes.sum()), "backward": 0}
    assert int(found.backward_passes.sum()) == 0


@every
def test_a_batch_equals_its_images_alone(kind: str) -> None:
    control = Control(network(0), kind=kind)
    together = control(photos(3), 0).saliency
    assert torch.equal(together, torch.cat([control(photos(3)[row : row + 1], 0).saliency for row in range(3)]))


def test_random_maps_differ_between_images_and_seeds() -> None:
    net = network(0)
    zero, one = (Control(net, kind="random", seed=seed)(photos(2)).saliency for seed in (0, 1))
    assert not torch.allclose(zero[0], zero[1], atol=0.1)
    assert not torch.allclose(zero, one, atol=0.1)


def test_the_centre_is_highest_in_the_centre_and_the_same_from_all_sides() -> None:
    saliency = Control(network(0), kind="centre")(photos(1)).saliency[0, 0]
    assert saliency[15:17, 19:21].min() == saliency.max()
    assert torch.allclose(saliency, saliency.flip(0).flip(1), atol=1e-6)


def test_edges_are_where_the_image_changes() -> None:
    image = torch.zeros(1, 3, 32, 40)
    image[:, :, :, 20:] = 1
    saliency = Control(network(0), kind="edges")(image).saliency[0, 0]
    assert saliency[:, 18:22].min() > 0.9
    assert saliency[:, :12].max() == 0
    assert saliency[:, 28:].max() == 0
