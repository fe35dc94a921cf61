"""What prototype networks pay, against written-out loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskstack.prototypes.losses import (
    affine_consistency,
    balanced_focal,
    cluster_cost,
    foreign_weights,
    separation_cost,
    similarity_cluster,
    similarity_separation,
)

SEEDS = st.integers(0, 2**31)
OWNERS = torch.tensor([0, 2, 1, 0, 2])  # Not in order: nothing may rely on that.
CLASSES = 3


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some_labels(rows: int, seed: int) -> Tensor:
    return (drawn(rows, CLASSES, seed=seed) > 0).double()


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


@given(SEEDS)
@settings(deadline=None, max_examples=20)
def test_cluster_and_separation_are_the_written_out_loops(seed: int) -> None:
    distances, labels = drawn(3, 5, seed=seed).abs(), [0, 2, 1]
    own = torch.tensor([[owner == label for owner in OWNERS.tolist()] for label in labels])
    near, far = [], []
    for b, label in enumerate(labels):
        ours = [distances[b, p].item() for p in range(5) if OWNERS[p] == label]
        theirs = [distances[b, p].item() for p in range(5) if OWNERS[p] != label]
        near.append(min(ours))
        far.append(min(theirs))
    assert cluster_cost(distances, own).item() == pytest.approx(mean(near))
    assert separation_cost(distances, own).item() == pytest.approx(mean(far))


def test_with_one_class_there_is_nothing_to_keep_apart() -> None:
    distances = drawn(3, 5).abs().requires_grad_(True)
    own = torch.ones(3, 5, dtype=torch.bool)
    assert separation_cost(distances, own).item() == 0
    assert cluster_cost(distances, own).item() == pytest.approx(distances.min(dim=1).values.mean().item())


def test_only_the_nearest_prototype_is_drawn() -> None:
    distances = torch.tensor([[3.0, 1, 2], [1, 5, 4]], requires_grad=True)
    own = torch.tensor([[True, False, True], [False, True, True]])
    (near,) = torch.autograd.grad(cluster_cost(distances, own), distances)
    assert near.tolist() == [[0, 0, 0.5], [0, 0, 0.5]]
    (far,) = torch.autograd.grad(separation_cost(distances, own), distances)
    assert far.tolist() == [[0, 0.5, 0], [0.5, 0, 0]]


@given(SEEDS)
@settings(deadline=None, max_examples=20)
def test_foreign_weights_are_added_up_by_their_size(seed: int) -> None:
    weights = drawn(5, CLASSES, seed=seed)
    sizes = [abs(weights[p, k].item()) for p in range(5) for k in range(CLASSES) if OWNERS[p] != k]
    assert foreign_weights(weights, OWNERS).item() == pytest.approx(sum(sizes))
    weights.requires_grad_(True)
    (slope,) = torch.autograd.grad(foreign_weights(weights, OWNERS), weights)
    for p in range(5):
        for k in range(CLASSES):
            assert slope[p, k].item() == (0 if OWNERS[p] == k else math.copysign(1, weights[p, k].item()))


@pytest.mark.slow
@given(st.integers(1, 6), st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.5]), SEEDS)
@settings(deadline=None, max_examples=40)
def test_the_focal_loss_averages_positives_and_negatives_apart(rows: int, gamma: float, seed: int) -> None:
    logits, labels = 3 * drawn(rows, CLASSES, seed=seed), some_labels(rows, seed + 1)
    findings = []
    for k in range(CLASSES):
        positives, negatives = [], []
        for b in range(rows):
            chance = 1 / (1 + math.exp(-logits[b, k].item()))
            if labels[b, k] == 1:
                positives.append(-((1 - chance) ** gamma) * math.log(chance))
            else:
                negatives.append(-(chance**gamma) * math.log(1 - chance))
        findings.append(mean(positives) + mean(negatives))
    assert balanced_focal(logits, labels, gamma=gamma).item() == pytest.approx(mean(findings), rel=1e-9)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_each_of_its_terms_is_torchvisions(gamma: float) -> None:
    ops = pytest.importorskip("torchvision.ops", reason="the extra 'prototypes' is not installed")
    logits, labels = 5 * drawn(8, CLASSES), some_labels(8, 1)
    theirs = ops.sigmoid_focal_loss(logits, labels, alpha=-1, gamma=gamma)
    for b in range(8):
        assert balanced_focal(logits[b : b + 1], labels[b : b + 1], gamma=gamma).item() == pytest.approx(
            theirs[b].mean().item()
        )


def test_without_focus_it_is_a_balanced_cross_entropy_whatever_the_counts() -> None:
    logits, labels = torch.zeros(10, 1).double(), torch.zeros(10, 1).double()
    labels[0] = 1
    assert balanced_focal(logits, labels, gamma=0).item() == pytest.approx(2 * math.log(2))
    assert balanced_focal(logits[1:], labels[1:], gamma=0).item() == pytest.approx(math.log(2)), "no positives"
    assert balanced_focal(logits[:1], labels[:1], gamma=0).item() == pytest.approx(math.log(2)), "no negatives"


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_the_focal_gradient_is_finite_even_where_sigmoids_saturate(gamma: float) -> None:
    labels = some_labels(4, 3)
    logits = (2 * drawn(4, CLASSES, seed=2)).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda logits: balanced_focal(logits, labels, gamma=gamma), logits)
    extreme = torch.tensor([[300.0, -300.0, 0.0], [-300.0, 300.0, 0.0]], requires_grad=True)
    for truth in (torch.tensor([[1.0, 0, 1], [0, 1, 0]]), torch.tensor([[0.0, 1, 0], [1, 0, 1]])):
        loss = balanced_focal(extreme, truth, gamma=gamma)
        assert torch.isfinite(loss)
        assert torch.isfinite(torch.autograd.grad(loss, extreme)[0]).all()


@given(st.integers(1, 5), SEEDS)
@settings(deadline=None, max_examples=30)
def test_similarity_costs_are_the_written_out_loops(rows: int, seed: int) -> None:
    activations, labels = drawn(rows, 5, seed=seed), some_labels(rows, seed + 1)
    near, far = [], []
    for k in range(CLASSES):
        best = [max(activations[b, p].item() for p in range(5) if OWNERS[p] == k) for b in range(rows)]
        near.append(mean([best[b] for b in range(rows) if labels[b, k] == 1]))
        far.append(mean([best[b] for b in range(rows) if labels[b, k] == 0]))
    assert similarity_cluster(activations, labels, OWNERS).item() == pytest.approx(-mean(near))
    assert similarity_separation(activations, labels, OWNERS).item() == pytest.approx(mean(far))


def test_gradients_of_similarity_costs_are_finite_differences() -> None:
    activations, labels = drawn(3, 5).requires_grad_(True), torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 0]]).double()
    for cost in (similarity_cluster, similarity_separation):
        assert torch.autograd.gradcheck(lambda values, cost=cost: cost(values, labels, OWNERS), activations)


IDENTITY = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).double()
MIRROR = torch.tensor([[-1.0, 0, 0], [0, 1, 0]]).double()
UPSIDE_DOWN = torch.tensor([[1.0, 0, 0], [0, -1, 0]]).double()


def repeated(theta: Tensor) -> Tensor:
    return theta.expand(3, 2, 3)


@pytest.mark.parametrize("size", [(2, 3), (1, 4), (5, 1), (7, 7)])
def test_the_warps_that_move_places_to_places_are_torchs_flips(size: tuple[int, int]) -> None:
    maps, other = drawn(3, 4, *size), drawn(3, 4, *size, seed=1)
    for theta, flipped in ((IDENTITY, maps), (MIRROR, maps.flip(3)), (UPSIDE_DOWN, maps.flip(2))):
        assert affine_consistency(flipped, maps, repeated(theta)).item() == pytest.approx(0, abs=1e-12)
        expected = (other - flipped).abs().mean().item()
        assert affine_consistency(other, maps, repeated(theta)).item() == pytest.approx(expected)


def test_each_image_is_warped_by_its_own() -> None:
    maps = drawn(3, 4, 2, 3)
    seen = torch.stack([maps[0], maps[1].flip(2), maps[2].flip(1)])
    theta = torch.stack([IDENTITY, MIRROR, UPSIDE_DOWN])
    assert affine_consistency(seen, maps, theta).item() == pytest.approx(0, abs=1e-12)
    assert affine_consistency(seen.flip(0), maps.flip(0), theta).item() > 0.1


def test_places_outside_do_not_count() -> None:
    maps = drawn(3, 2, 4, 4)
    right = torch.tensor([[1.0, 0, 1], [0, 1, 0]]).double()  # The view begins in the middle of the image.
    seen = torch.full_like(maps, 99)
    seen[..., :2] = maps[..., 2:]
    assert affine_consistency(seen, maps, repeated(right)).item() == pytest.approx(0, abs=1e-12)
    seen[..., :2] += 3
    assert affine_consistency(seen, maps, repeated(right)).item() == pytest.approx(3), "a mean over the places inside"
    # One of three images differs by 3 in all its 16 places, the others in none of their 8: 3 x 16 / 32.
    thetas = torch.stack([IDENTITY, right, right])
    seen[0], seen[1:, :, :, :2] = maps[0] - 3, maps[1:, :, :, 2:]
    assert affine_consistency(seen, maps, thetas).item() == pytest.approx(1.5)
    away = torch.tensor([[1.0, 0, 9], [0, 1, 0]]).double()
    assert affine_consistency(seen, maps, repeated(away)).item() == 0, "nothing of the image is in sight"


def test_gradients_of_the_consistency_are_finite_differences() -> None:
    seen, maps = drawn(3, 2, 2, 3).requires_grad_(True), drawn(3, 2, 2, 3, seed=1).requires_grad_(True)
    theta = torch.tensor([[0.8, -0.1, 0.1], [0.1, 0.7, -0.2]]).double()
    assert torch.autograd.gradcheck(lambda *both: affine_consistency(*both, repeated(theta)), (seen, maps))
