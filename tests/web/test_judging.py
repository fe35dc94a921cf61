"""The page's curves are the network's probability as the pixels turn, most salient first."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional

from maskstack.metrics import blur
from maskstack.models import LoadedModel
from maskstack.web.judging import BLUR, STEPS, area, curves

HEIGHT, WIDTH = 20, 40
PATCH = torch.zeros(HEIGHT, WIDTH)
PATCH[5:15, 8:16] = 1
"""A tenth of the pixels; the network looks at nothing else."""


class Patch(nn.Module):
    """Two classes: the first by what is bright in the patch, the second by what is dark there."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        inside = (images.mean(dim=1) * PATCH).sum(dim=(1, 2)) / PATCH.sum()
        return torch.stack([inside, -inside], dim=1)


class Single(nn.Module):
    """One output: a class and what it is not."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return Patch()(images)[:, :1]


def wrapped(model: nn.Module) -> LoadedModel:
    return LoadedModel(model.eval(), lambda image: torch.empty(0), (), (HEIGHT, WIDTH), (0.0,), (1.0,), "", "")


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    """Bright in the patch, dark around it, so that a blur takes from the patch."""
    return 1.5 * PATCH.expand(3, -1, -1) - 0.5


def probability(image: torch.Tensor, target: int = 0) -> float:
    return float(Patch()(image.unsqueeze(0)).softmax(dim=1)[0, target])


def test_the_ends_are_the_photo_and_its_blur(image) -> None:
    inserted, deleted = curves(wrapped(Patch()), image, torch.rand(HEIGHT, WIDTH), 0)
    blurred = probability(blur(image, sigma=HEIGHT * 10 / 224))
    assert len(inserted) == len(deleted) == STEPS + 1
    assert (inserted[0], inserted[-1]) == pytest.approx((blurred, probability(image)))
    assert (deleted[0], deleted[-1]) == pytest.approx((probability(image), blurred))
    assert blurred < probability(image) - 0.02


def test_every_point_is_of_the_image_put_together_by_hand(image) -> None:
    saliency = torch.rand(HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    inserted, deleted = curves(wrapped(Patch()), image, saliency, 1)
    hidden = blur(image, sigma=BLUR * HEIGHT)
    for step in (1, 7, 19):
        first = (saliency >= saliency.flatten().sort(descending=True).values[step * 40 - 1]).float()
        assert first.sum() == step * 40
        assert inserted[step] == pytest.approx(probability(image * first + hidden * (1 - first), 1), abs=1e-6)
        assert deleted[step] == pytest.approx(probability(hidden * first + image * (1 - first), 1), abs=1e-6)


def test_a_map_of_what_the_network_sees_is_better_than_its_reverse(image) -> None:
    right, wrong = (curves(wrapped(Patch()), image, saliency, 0) for saliency in (PATCH, 1 - PATCH))
    assert right[0][2] == pytest.approx(right[0][-1]), "a tenth of the pixels is all it takes"
    assert wrong[0][-3] == pytest.approx(wrong[0][0])
    assert area(right[0]) > area(wrong[0])
    assert area(right[1]) < area(wrong[1])


def test_a_network_with_one_output_is_followed_by_its_sigmoid(image) -> None:
    net = dataclasses.replace(wrapped(Single()), output="logit")
    inserted, _ = curves(net, image, PATCH, 1)
    assert inserted[-1] == pytest.approx(float(functional.sigmoid(torch.tensor(1.0))))


@pytest.mark.parametrize(
    ("curve", "expected"), [([0.0, 1.0], 0.5), ([0.2] * 21, 0.2), ([0.0, 1.0, 1.0], 0.75)], ids=str
)
def test_the_area_is_by_trapezoids(curve, expected) -> None:
    assert area(curve) == pytest.approx(expected)
