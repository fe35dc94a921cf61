"""ProtoPNet against written-out loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.prototypes import conftest
from torch import Tensor, nn
from torch.nn import functional

from maskstack.prototypes.backbone import Backbone
from maskstack.prototypes.losses import cluster_cost, foreign_weights, separation_cost
from maskstack.prototypes.protopnet import EPSILON, ProtoPNet, patch_distances, similarity

OWNERS = (0, 0, 1, 2, 2)
CLASSES, DIMENSION, CHANNELS = 3, 4, 6
SEEDS = st.integers(0, 2**31)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def toy(seed: int = 0, *, stem: nn.Module | None = None) -> ProtoPNet:
    return conftest.toy(ProtoPNet, OWNERS, classes=CLASSES, channels=CHANNELS, seed=seed, stem=stem)


def loop_distances(vectors: Tensor, prototypes: Tensor) -> Tensor:
    images, size, height, width = vectors.shape
    found = torch.zeros(images, len(prototypes), height, width, dtype=vectors.dtype)
    for b in range(images):
        for p in range(len(prototypes)):
            for i in range(height):
                for j in range(width):
                    pairs = [(vectors[b, d, i, j].item(), prototypes[p, d].item()) for d in range(size)]
                    found[b, p, i, j] = sum((x - y) ** 2 for x, y in pairs)
    return found


def loop_embedding(network: ProtoPNet, features: Tensor) -> Tensor:
    first, second = network.add_on[0], network.add_on[2]
    found = torch.zeros(len(features), DIMENSION, *features.shape[2:], dtype=features.dtype)
    for b in range(len(features)):
        for i in range(features.shape[2]):
            for j in range(features.shape[3]):
                hidden = first.weight[:, :, 0, 0] @ features[b, :, i, j] + first.bias
                raw = second.weight[:, :, 0, 0] @ hidden.clamp(min=0) + second.bias
                found[b, :, i, j] = 1 / (1 + torch.exp(-raw))
    return found


@pytest.mark.slow
@given(st.integers(1, 4), st.integers(1, 5), SEEDS)
@settings(deadline=None, max_examples=20)
def test_distances_are_the_written_out_sums(prototypes: int, dimension: int, seed: int) -> None:
    vectors, points = drawn(3, dimension, 2, 3, seed=seed), drawn(prototypes, dimension, seed=seed + 1)
    torch.testing.assert_close(patch_distances(vectors, points), loop_distances(vectors, points), atol=1e-12, rtol=0)


def test_a_distance_is_never_negative_though_it_rounds() -> None:
    vectors = 1000 * drawn(3, 64, 2, 3).float()
    points = vectors.permute(0, 2, 3, 1).reshape(-1, 64)
    assert patch_distances(vectors, points).amin().item() >= 0


def test_the_similarity_is_the_papers_and_falls_with_distance() -> None:
    distances = torch.tensor([0, 1e-4, 0.5, 1, 7, 1e6], dtype=torch.float64)
    expected = [math.log((d + 1) / (d + 1e-4)) for d in distances.tolist()]
    assert similarity(distances).tolist() == pytest.approx(expected)
    assert similarity(distances).tolist() == sorted(expected, reverse=True)
    assert similarity(distances)[0].item() == pytest.approx(math.log(1 / EPSILON))
    assert similarity(distances)[-1].item() >= 0


def test_a_pass_is_the_written_out_one() -> None:
    network, images = toy(), 4 * drawn(3, CHANNELS, 2, 3) - 2
    network.backbone.mean.copy_(drawn(CHANNELS, seed=5))
    network.backbone.std.copy_(0.5 + drawn(CHANNELS, seed=6))
    features = images.clone()
    for channel in range(CHANNELS):
        features[:, channel] = (images[:, channel] - network.backbone.mean[channel]) / network.backbone.std[channel]
    distances = loop_distances(loop_embedding(network, features), network.prototypes)
    maps = torch.log((distances + 1) / (distances + 1e-4))
    least, greatest = torch.zeros(3, len(OWNERS)).double(), torch.zeros(3, len(OWNERS)).double()
    logits = torch.zeros(3, CLASSES).double()
    for b in range(3):
        for p in range(len(OWNERS)):
            least[b, p] = min(distances[b, p].flatten().tolist())
            greatest[b, p] = max(maps[b, p].flatten().tolist())
        for k in range(CLASSES):
            logits[b, k] = sum((1 if owner == k else -0.5) * greatest[b, p] for p, owner in enumerate(OWNERS))
    reading = network.read(images)
    torch.testing.assert_close(reading.distances, least)
    torch.testing.assert_close(reading.maps, maps)
    torch.testing.assert_close(reading.activations, greatest)
    torch.testing.assert_close(reading.logits, logits)
    for same, other in (
        (network(images), logits),
        (network.maps(images), maps),
        (network.activations(images), greatest),
    ):
        torch.testing.assert_close(same, other)


def test_the_shapes_and_the_start() -> None:
    network = toy(stem=nn.Conv2d(3, CHANNELS, 3, stride=2).double())
    reading = network.read(network.backbone.stem(drawn(3, 3, 5, 7)))
    assert reading.logits.shape == (3, CLASSES)
    assert reading.maps.shape == (3, len(OWNERS), 2, 3)
    assert network.prototypes.shape == (len(OWNERS), DIMENSION)
    assert network.weights.tolist() == [[1.0 if owner == k else -0.5 for k in range(CLASSES)] for owner in OWNERS]
    assert network.last.bias is None
    assert network.prototypes.min() >= 0
    assert network.prototypes.max() <= 1
    plain = ProtoPNet(Backbone(nn.Identity(), nn.Identity(), channels=2), [0, 1], classes=2)
    assert [layer.bias.abs().max().item() for layer in (plain.add_on[0], plain.add_on[2])] == [0, 0]


@given(SEEDS)
@settings(deadline=None, max_examples=10)
def test_at_its_own_places_an_image_reads_as_where_it_is_greatest(seed: int) -> None:
    network, images = toy(seed), drawn(3, CHANNELS, 2, 3, seed=seed)
    places, maps = network.places(images), network.maps(images)
    torch.testing.assert_close(network.activations(images, places), network.activations(images))
    for b in range(3):
        for p in range(len(OWNERS)):
            i, j = max(((i, j) for i in range(2) for j in range(3)), key=lambda at: maps[b, p, at[0], at[1]].item())
            expected = torch.zeros(2, 3).double()
            expected[i, j] = 1
            assert torch.equal(places[b, p], expected)
    # One image's places, for a batch of others.
    elsewhere = network.activations(images, places[:1])
    for b in range(3):
        for p in range(len(OWNERS)):
            assert elsewhere[b, p].item() == pytest.approx(maps[b, p][places[0, p].bool()].item())
    anew, fixed = network.readings(images, places[:1])
    torch.testing.assert_close(anew, network.activations(images))
    torch.testing.assert_close(fixed, elsewhere)


def test_the_first_of_equal_patches_is_the_place() -> None:
    network = toy()
    places = network.places(torch.ones(3, CHANNELS, 2, 3).double())
    assert torch.equal(places.sum(dim=(2, 3)), torch.ones(3, len(OWNERS)).double())
    assert places[:, :, 0, 0].all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_gradients_of_the_whole_loss_are_finite_differences(seed: int) -> None:
    network, images = toy(seed), 2 * drawn(3, CHANNELS, 2, 3, seed=seed) - 1
    names = [name for name, _ in network.named_parameters()]
    labels = torch.tensor([0, 2, 1])
    own = torch.tensor([[owner == label for owner in OWNERS] for label in labels.tolist()])

    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: Tensor) -> Tensor:
            reading = self.network.read(images)
            near, far = cluster_cost(reading.distances, own), separation_cost(reading.distances, own)
            foreign = foreign_weights(self.network.weights, self.network.owners)
            return functional.cross_entropy(reading.logits, labels) + 0.8 * near - 0.08 * far + 1e-2 * foreign

    def loss(images: Tensor, *values: Tensor) -> Tensor:
        state = {f"network.{name}": value for name, value in zip(names, values, strict=True)}
        return torch.func.functional_call(Loss(), state, (images,))

    values = [value.detach().clone().requires_grad_(True) for value in network.parameters()]
    assert torch.autograd.gradcheck(loss, (images.requires_grad_(True), *values))


def test_the_rest_stays_as_it_was_when_prototypes_are_dropped() -> None:
    network, images = toy(), drawn(3, CHANNELS, 2, 3)
    network.last.weight.data.copy_(drawn(CLASSES, len(OWNERS), seed=3))
    before, prototypes = network.read(images), network.prototypes.detach().clone()
    weights = network.weights.detach().clone()
    kept = torch.tensor([1, 2, 4])
    network.keep(kept)
    after = network.read(images)
    assert network.owners.tolist() == [0, 1, 2]
    assert torch.equal(network.prototypes, prototypes[kept])
    assert torch.equal(network.weights, weights[kept])
    torch.testing.assert_close(after.activations, before.activations[:, kept])
    torch.testing.assert_close(after.logits, before.activations[:, kept] @ weights[kept])
    again = ProtoPNet(network.backbone, [0, 1, 2], classes=CLASSES, dimension=DIMENSION).double()
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(again(images), network(images))
    assert {id(parameter) for parameter in network.parameters()} >= {id(network.prototypes), id(network.last.weight)}
