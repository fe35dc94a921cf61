"""XProtoNet against written-out loops."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.prototypes import conftest
from torch import Tensor, nn

from maskstack.prototypes.backbone import Backbone
from maskstack.prototypes.losses import affine_consistency, balanced_focal, similarity_cluster, similarity_separation
from maskstack.prototypes.xprotonet import XProtoNet

OWNERS = (0, 0, 1)
CLASSES, DIMENSION, CHANNELS = 2, 4, 5
OPTIONS = list(itertools.product(("sigmoid", "abs"), ("sum", "mean"), ("cosine", "shifted")))
SEEDS = st.integers(0, 2**31)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def toy(seed: int = 0, **options: str) -> XProtoNet:
    """Every parameter is random."""
    network = conftest.toy(XProtoNet, OWNERS, classes=CLASSES, channels=CHANNELS, **options)
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        nn.init.normal_(parameter, generator=generator)
    return network


def at(layers: nn.Sequential, feature: Tensor) -> Tensor:
    """Two layers of 1 x 1 convolutions at one place."""
    first, second = layers[0], layers[2]
    hidden = (first.weight[:, :, 0, 0] @ feature + first.bias).clamp(min=0)
    return second.weight[:, :, 0, 0] @ hidden + (0 if second.bias is None else second.bias)


def written_out(network: XProtoNet, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Maps, pooled vectors, activations, logits."""
    count, _, height, width = images.shape
    maps = torch.zeros(count, len(OWNERS), height, width).double()
    vectors = torch.zeros(count, len(OWNERS), DIMENSION).double()
    activations, logits = torch.zeros(count, len(OWNERS)).double(), torch.zeros(count, CLASSES).double()
    for b in range(count):
        for i, j in itertools.product(range(height), range(width)):
            features, occurring = at(network.add_on, images[b, :, i, j]), at(network.occurring, images[b, :, i, j])
            for p in range(len(OWNERS)):
                raw = occurring[p].item()
                maps[b, p, i, j] = 1 / (1 + math.exp(-raw)) if network.occurrence == "sigmoid" else abs(raw)
                share = 1 if network.pooling == "sum" else 1 / (height * width)
                vectors[b, p] += share * maps[b, p, i, j] * features.detach()
        logits[b] = network.bias.detach()
        for p, owner in enumerate(OWNERS):
            ours, theirs = vectors[b, p].tolist(), network.prototypes[p].tolist()
            product = sum(x * y for x, y in zip(ours, theirs, strict=True))
            cosine = product / math.sqrt(sum(x * x for x in ours) * sum(y * y for y in theirs))
            activations[b, p] = cosine if network.similarity == "cosine" else (cosine + 1) / 2
            logits[b, owner] += network.weight[p].item() * activations[b, p]
    return maps, vectors, activations, logits


@pytest.mark.parametrize(("occurrence", "pooling", "similarity"), OPTIONS)
def test_a_pass_is_the_written_out_one(occurrence: str, pooling: str, similarity: str) -> None:
    network, images = toy(occurrence=occurrence, pooling=pooling, similarity=similarity), drawn(3, CHANNELS, 2, 3)
    maps, vectors, activations, logits = written_out(network, images)
    reading = network.read(images)
    torch.testing.assert_close(reading.maps, maps)
    torch.testing.assert_close(reading.vectors, vectors)
    torch.testing.assert_close(reading.activations, activations)
    torch.testing.assert_close(reading.logits, logits)
    torch.testing.assert_close(network(images), logits)
    torch.testing.assert_close(network.maps(images), maps)
    torch.testing.assert_close(network.activations(images), activations)


@pytest.mark.parametrize("occurrence", ["sigmoid", "abs"])
def test_the_division_is_immaterial_to_what_is_answered(occurrence: str) -> None:
    images = drawn(3, CHANNELS, 2, 3)
    summed, averaged = (toy(occurrence=occurrence, pooling=pooling).read(images) for pooling in ("sum", "mean"))
    torch.testing.assert_close(summed.logits, averaged.logits)
    torch.testing.assert_close(summed.vectors, 6 * averaged.vectors)


@pytest.mark.slow
@given(SEEDS)
@settings(deadline=None, max_examples=20)
def test_the_ranges_are_those_promised(seed: int) -> None:
    images = 3 * drawn(3, CHANNELS, 2, 3, seed=seed)
    for occurrence, similarity, low in (("sigmoid", "cosine", -1), ("abs", "shifted", 0)):
        reading = toy(seed, occurrence=occurrence, similarity=similarity).read(images)
        assert reading.maps.min() >= 0
        assert reading.activations.min() >= low - 1e-9
        assert reading.activations.max() <= 1 + 1e-9
        assert occurrence == "abs" or reading.maps.max() <= 1


def test_the_start_and_that_only_a_findings_own_prototypes_speak() -> None:
    network = XProtoNet(Backbone(nn.Identity(), nn.Identity(), channels=2), OWNERS, classes=CLASSES)
    assert network.weights.tolist() == [[1, 0], [1, 0], [0, 1]]
    assert network.bias.tolist() == [0, 0]
    assert network.occurring[2].bias is None
    assert network.prototypes.shape == (3, 64)
    network = toy()
    expected = [[network.weight[p].item() if owner == k else 0 for k in range(2)] for p, owner in enumerate(OWNERS)]
    assert network.weights.tolist() == expected


@pytest.mark.parametrize("occurrence", ["sigmoid", "abs"])
def test_at_its_own_places_an_image_reads_as_it_does(occurrence: str) -> None:
    network, images = toy(occurrence=occurrence), drawn(3, CHANNELS, 2, 3)
    places = network.places(images)
    torch.testing.assert_close(places, network.maps(images))
    torch.testing.assert_close(network.activations(images, places), network.activations(images))
    # One image's places, for a batch of others: pooled by that map, whatever the network would see in them.
    fixed = network.activations(images, places[:1])
    for b, p in itertools.product(range(3), range(len(OWNERS))):
        vector = torch.zeros(DIMENSION).double()
        for i, j in itertools.product(range(2), range(3)):
            vector += places[0, p, i, j].item() * at(network.add_on, images[b, :, i, j]).detach()
        prototype = network.prototypes[p].detach()
        assert fixed[b, p].item() == pytest.approx((vector @ prototype / vector.norm() / prototype.norm()).item())
    assert not torch.allclose(fixed[1:], network.activations(images)[1:])
    anew, still = network.readings(images, places[:1])
    torch.testing.assert_close(anew, network.activations(images))
    torch.testing.assert_close(still, fixed)


def test_a_prototype_that_is_an_images_own_vector_is_wholly_like_it() -> None:
    network, images = toy(), drawn(3, CHANNELS, 2, 3)
    network.prototypes.data[:] = network.read(images).vectors[1].detach()
    assert network.activations(images)[1].tolist() == pytest.approx([1, 1, 1])
    network.prototypes.data[:] *= -7
    assert network.activations(images)[1].tolist() == pytest.approx([-1, -1, -1])


@pytest.mark.parametrize(("occurrence", "pooling", "similarity"), OPTIONS[::3])
@pytest.mark.slow
def test_gradients_of_the_whole_loss_are_finite_differences(occurrence: str, pooling: str, similarity: str) -> None:
    network = toy(3, occurrence=occurrence, pooling=pooling, similarity=similarity)
    images, plain = drawn(3, CHANNELS, 2, 3, seed=1), drawn(3, CHANNELS, 2, 3, seed=2)
    names = [name for name, _ in network.named_parameters()]
    labels = torch.tensor([[1.0, 0], [1, 1], [0, 1]]).double()
    theta = torch.tensor([[-0.8, 0.1, 0.1], [0.05, 0.9, 0]]).double().expand(3, 2, 3)

    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: Tensor) -> Tensor:
            reading, owners = self.network.read(images), self.network.owners
            near = similarity_cluster(reading.activations, labels, owners)
            far = similarity_separation(reading.activations, labels, owners)
            maps = self.network.read(plain).maps
            affine = affine_consistency(reading.maps, maps, theta)
            return balanced_focal(reading.logits, labels) + 0.5 * (near + far + reading.maps.abs().mean() + affine)

    def loss(images: Tensor, *values: Tensor) -> Tensor:
        state = {f"network.{name}": value for name, value in zip(names, values, strict=True)}
        return torch.func.functional_call(Loss(), state, (images,))

    values = [value.detach().clone().requires_grad_(True) for value in network.parameters()]
    assert torch.autograd.gradcheck(loss, (images.requires_grad_(True), *values))
