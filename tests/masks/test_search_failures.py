"""The search under a score that is not finite, not differentiable, or not one number an image."""

import pytest
import torch
from tests.masks.toys import IMAGES, assert_same, two_sizes

from maskstack.errors import ModelError
from maskstack.masks.search import search


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("patience", [0, 3])
@pytest.mark.parametrize("value", [torch.nan, -torch.inf])
def test_an_answer_that_breaks_midway_fails_its_image_only(score, joint: bool, patience: int, value: float) -> None:
    learning = []

    def breaking(images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        learning.append(torch.is_grad_enabled())
        broken = (rows == 1) & (sum(learning) > 2)
        return score(images, rows) + torch.zeros(len(rows)).masked_fill(broken, value)

    settings = two_sizes(joint=joint, patience=patience, tolerance=0.0, steps=8)
    found, healthy = search(breaking, IMAGES, settings=settings), search(score, IMAGES, settings=settings)
    assert found.failed.tolist() == [False, True, False, False]
    assert_same(found, healthy, slice(0, 1))
    assert_same(found, healthy, slice(2, 4))
    until = search(score, IMAGES, settings=settings.with_(steps=2))
    torch.testing.assert_close(found.masks[1], until.masks[1], msg="what was found before the failure is lost")
    assert (found.steps[1] < healthy.steps[1]).all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_an_image_without_a_finite_score_is_a_model_error(score, value: float) -> None:
    def broken(images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return torch.where(rows == 2, torch.tensor(value), score(images, rows))

    with pytest.raises(ModelError, match=rf"score for image 2 is {value}; check the image's normalisation"):
        search(broken, IMAGES, settings=two_sizes())


@pytest.mark.parametrize(
    "cut",
    [
        lambda score: lambda x, rows: score(x.detach(), rows),
        lambda score: lambda x, rows: score(x, rows).detach(),
        lambda score: lambda x, rows: torch.from_numpy(score(x, rows).detach().numpy()),
        lambda score: lambda x, rows: x.flatten(1).argmax(dim=1).float(),
        lambda score: lambda x, rows: torch.ones(len(x)) * torch.ones((), requires_grad=True),
    ],
    ids=["detached image", "detached answer", "numpy", "argmax", "constant parameter"],
)
def test_a_score_without_a_gradient_is_a_model_error(score, cut) -> None:
    with pytest.raises(ModelError, match="no gradient reaches the image"):
        search(cut(score), IMAGES, settings=two_sizes())


def not_finite(kind: str, images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Zero; but for image 1, a gradient of NaN, or while learning an infinite value."""
    if kind == "NaN gradient":
        zero = images.sum(dim=(1, 2, 3)) * 0
        return torch.stack([value.sqrt() if row == 1 else value for value, row in zip(zero, rows, strict=True)])
    return torch.zeros(len(rows)).masked_fill((rows == 1) & torch.is_grad_enabled(), torch.inf)


@pytest.mark.parametrize("kind", ["NaN gradient", "infinite score"])
def test_a_finite_loss_hides_no_failure(score, kind: str) -> None:
    def hiding(images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return score(images, rows) + not_finite(kind, images, rows)

    found = search(hiding, IMAGES, settings=two_sizes(steps=1))
    assert torch.isfinite(found.masks).all()
    assert found.failed.tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    "wrong", [lambda v: v.repeat(2), lambda v: v[:1], lambda v: v.mean()], ids=["twice", "one", "scalar"]
)
def test_a_score_that_is_not_one_value_an_image_is_a_model_error(score, wrong) -> None:
    with pytest.raises(ModelError, match="one"):
        search(lambda images, rows: wrong(score(images, rows)), IMAGES, settings=two_sizes())
