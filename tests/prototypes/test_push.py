"""What prototypes become, against a search over all images and places."""

import importlib
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.prototypes import conftest
from torch import Tensor

from maskstack.prototypes.features import Features
from maskstack.prototypes.protopnet import ProtoPNet
from maskstack.prototypes.push import duplicates, prunable, push
from maskstack.prototypes.xprotonet import XProtoNet

OWNERS = (1, 0, 0, 2)
CLASSES, DIMENSION, CHANNELS, SIZE = 3, 4, 5, (2, 3)
PLACES = list(itertools.product(range(SIZE[0]), range(SIZE[1])))
SEEDS = st.integers(0, 2**31)


def toy(kind: type = ProtoPNet, seed: int = 0, owners: tuple[int, ...] = OWNERS) -> ProtoPNet | XProtoNet:
    return conftest.toy(kind, owners, classes=CLASSES, channels=CHANNELS, seed=seed, dtype=torch.float32).eval()


def some_features(images: int = 7, seed: int = 0, views: int = 3) -> Features:
    """Classes in turn; the augmented views are alluring, but no image as it is."""
    values = np.random.default_rng(seed).normal(size=(images, views, CHANNELS, *SIZE)).astype(np.float32)
    labels = torch.eye(CLASSES)[torch.arange(images) % CLASSES]
    warps = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(images, views, 2, 3)
    return Features(values, warps, labels)


def names(features: Features) -> list[str]:
    return [f"image {number}" for number in range(len(features.labels))]


def plain_images(features: Features) -> Tensor:
    return torch.from_numpy(features.values[:, 0])


@torch.no_grad()
def patches(network: ProtoPNet, features: Features) -> dict[tuple[int, int, int], Tensor]:
    """By image, row and column, in this order."""
    vectors = network.embed(plain_images(features))
    return {(b, i, j): vectors[b, :, i, j] for b in range(len(vectors)) for i, j in PLACES}


def squared(one: Tensor, other: Tensor) -> float:
    return ((one.double() - other.double()) ** 2).sum().item()


@pytest.fixture(params=[64, 2])
def batch(request, monkeypatch) -> int:
    """So many images at a time: the batches' ends must not show."""
    monkeypatch.setattr(importlib.import_module("maskstack.prototypes.push"), "BATCH", request.param)
    return request.param


@pytest.mark.parametrize("seed", range(4))
def test_each_prototype_becomes_the_nearest_patch_of_its_class(batch: int, seed: int) -> None:
    network, features = toy(seed=seed), some_features(seed=seed)
    before, known = network.prototypes.detach().clone(), patches(network, features)
    sources = push(network, features, names(features))
    for p, owner in enumerate(OWNERS):
        own = [place for place in known if features.labels[place[0], owner] == 1]
        image, row, column = min(own, key=lambda place: squared(known[place], before[p]))
        assert (sources[p].image, sources[p].row, sources[p].column) == (f"image {image}", row, column)
        torch.testing.assert_close(network.prototypes[p].detach(), known[image, row, column])
        assert sources[p].activation == pytest.approx(math.log(1 / 1e-4), abs=0.02)
        found = network.maps(plain_images(features)[[image]])[0, p]
        assert found[row, column].item() == pytest.approx(found.max().item(), abs=0.02)


def test_of_equally_near_patches_the_first_counts(batch: int) -> None:
    features = some_features(images=9)
    features.values[3:] = features.values[np.arange(6) % 3]
    features.values[..., 1:] = features.values[..., :1]  # All columns are the same.
    network = toy()
    before, known = network.prototypes.detach().clone(), patches(network, features)
    for p, (owner, source) in enumerate(zip(OWNERS, push(network, features, names(features)), strict=True)):
        row = min(range(SIZE[0]), key=lambda i: squared(known[owner, i, 0], before[p]))
        assert (source.image, source.row, source.column) == (f"image {owner}", row, 0)


def test_images_of_several_classes_are_each_classes_own() -> None:
    network, features = toy(), some_features(images=3)
    labels = torch.tensor([[1.0, 1, 0], [0, 0, 0], [0, 0, 1]])
    sources = push(network, Features(features.values, features.warps, labels), names(features))
    assert [source.image for source in sources] == ["image 0", "image 0", "image 0", "image 2"]


def test_a_second_push_changes_nothing() -> None:
    network, features = toy(), some_features()
    first = push(network, features, names(features))
    prototypes = network.prototypes.detach().clone()
    second = push(network, features, names(features))
    assert [(s.image, s.row, s.column) for s in first] == [(s.image, s.row, s.column) for s in second]
    torch.testing.assert_close(network.prototypes.detach(), prototypes, rtol=0, atol=0)
    assert network.prototypes.requires_grad, "it stays a parameter"


@pytest.mark.parametrize("seed", range(4))
def test_xprotonets_become_the_most_similar_vector_among_positives(batch: int, seed: int) -> None:
    network, features = toy(XProtoNet, seed=seed), some_features(seed=seed)
    before = network.prototypes.detach().clone()
    vectors = network.read(plain_images(features)).vectors.detach()
    sources = push(network, features, names(features))
    for p, owner in enumerate(OWNERS):
        own = [b for b in range(len(vectors)) if features.labels[b, owner] == 1]
        image = max(own, key=lambda b: torch.cosine_similarity(vectors[b, p], before[p], dim=0).item())
        assert (sources[p].image, sources[p].row, sources[p].column) == (f"image {image}", None, None)
        torch.testing.assert_close(network.prototypes[p].detach(), vectors[image, p])
        assert sources[p].activation == pytest.approx(1, abs=1e-5)


def test_xprotonets_take_the_first_of_equal_images(batch: int) -> None:
    network, features = toy(XProtoNet), some_features(images=9)
    features.values[3:] = features.values[np.arange(6) % 3]
    assert [source.image for source in push(network, features, names(features))] == [f"image {k}" for k in OWNERS]


def test_duplicates_are_those_of_the_same_class_and_name_the_first() -> None:
    network = toy(owners=(0, 0, 1, 0, 1, 0))
    assert duplicates(network) == {}
    network.prototypes.data[[1, 2, 3]] = network.prototypes.data[0].clone()
    assert duplicates(network) == {1: 0, 3: 0}
    network.prototypes.data[4] = network.prototypes.data[2] * (1 + 1e-5)
    assert duplicates(network) == {1: 0, 3: 0, 4: 2}, "rounding makes no other"
    network.prototypes.data[3] *= 1.1
    assert duplicates(network) == {1: 0, 4: 2}


@pytest.mark.slow
@given(SEEDS, st.integers(4, 12), st.integers(1, 6), st.integers(1, 5))
@settings(deadline=None, max_examples=25)
def test_those_are_kept_whose_neighbours_are_of_their_class(seed: int, images: int, nearest: int, least: int) -> None:
    network, features = toy(seed=seed), some_features(images, seed=seed)
    known, hits = patches(network, features), []
    for p, owner in enumerate(OWNERS):
        prototype = network.prototypes[p].detach()
        distances = [min(squared(known[b, i, j], prototype) for i, j in PLACES) for b in range(images)]
        order = sorted(range(images), key=lambda b: distances[b])[:nearest]
        hits.append(sum(features.labels[b, owner].item() == 1 for b in order))
    best = {k: max(h for h, owner in zip(hits, OWNERS, strict=True) if owner == k) for k in OWNERS}
    expected = {p for p in range(len(OWNERS)) if hits[p] >= least}
    for k in OWNERS:
        expected.add(next(p for p, owner in enumerate(OWNERS) if owner == k and hits[p] == best[k]))
    kept = prunable(network, features, nearest=nearest, least=least)
    assert kept.tolist() == sorted(expected)


def test_pruning_looks_at_all_batches_and_keeps_what_it_says(batch: int) -> None:
    network, features = toy(owners=(0, 0, 1, 2)), some_features(9)
    features.values[:, 0] = 10 * torch.eye(CHANNELS)[np.arange(9) % 3][:, :, None, None].numpy()
    known = patches(network, features)
    # The second prototype is a patch of class 1, although it belongs to class 0.
    for p, image in enumerate((0, 1, 1, 2)):
        network.prototypes.data[p] = known[image, 0, 0]
    kept = prunable(network, features)
    assert kept.tolist() == [0, 2, 3]
    network.keep(kept)
    assert network.owners.tolist() == [0, 1, 2]
    assert network(plain_images(features)).argmax(dim=1).tolist() == [0, 1, 2] * 3
    assert prunable(network, features).tolist() == [0, 1, 2]
