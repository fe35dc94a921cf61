"""Several regions of one image, and what would change the answer."""

import itertools
import json
from pathlib import Path

import pytest
import torch
from tests.small import network, photos
from torch import Tensor, nn

from maskstack import MDM, Explanation, InputError, ModelError
from maskstack.reliability.cuts import AREAS, cuts, scores_over_fills, with_pieces

QUICK = {"sizes": (4, 8), "members": 2, "steps": 15}


class Spots(nn.Module):
    """Its first class is there if either of two corners is bright; its second class if the centre is bright."""

    def forward(self, images: Tensor) -> Tensor:
        left, right = images[:, :, :8, :8].mean(dim=(1, 2, 3)), images[:, :, -8:, -8:].mean(dim=(1, 2, 3))
        centre = images[:, :, 12:20, 12:20].mean(dim=(1, 2, 3))
        return torch.stack([8 * torch.maximum(left, right), 6 * centre, torch.full_like(left, 1.0)], dim=1)


def scene() -> Tensor:
    """Bright in both corners and at the centre."""
    image = torch.zeros(1, 3, 32, 32)
    image[:, :, :8, :8] = image[:, :, -8:, -8:] = image[:, :, 12:20, 12:20] = 1
    return image


@pytest.mark.slow
def test_the_cost_that_is_said_is_enough() -> None:
    mdm = MDM(Spots(), objective="logit", **QUICK)
    found, said = mdm.regions(scene(), 0, count=2), mdm.cost(1, regions=2)
    assert int(found.forward_passes) <= said["forward"]
    assert int(found.backward_passes) <= said["backward"]
    found, said = mdm.contrast(scene(), 0, 1), mdm.cost(1, contrast=True)
    assert int(found.forward_passes) + 2 <= said["forward"]
    assert int(found.backward_passes) <= said["backward"]


@pytest.mark.slow
def test_each_region_suffices_and_no_pixel_belongs_to_two() -> None:
    found = MDM(Spots(), objective="logit", **QUICK).regions(scene(), 0, count=3)
    regions = found.regions
    assert regions is not None
    assert int(regions.count[0]) >= 2
    assert int(regions.masks[0].sum(dim=0).max()) == 1
    chosen = regions.kept[0][regions.kept[0].isfinite()]
    assert (chosen >= 0.5).all()
    corners = [{"left": bool(mask[:8, :8].any()), "right": bool(mask[-8:, -8:].any())} for mask in regions.masks[0, :2]]
    assert corners[0] != corners[1]
    assert regions.remaining[0] < 0.5


@pytest.mark.slow
def test_the_explanation_is_that_of_a_single_search_and_the_shares_are_as_stated() -> None:
    net, images = network().eval(), photos(2)
    mdm = MDM(net, objective="logit", **QUICK)
    plain, found = mdm(images, 1), mdm.regions(images, 1, count=2)
    torch.testing.assert_close(found.saliency, plain.saliency)
    for row in range(2):
        for number in range(int(found.regions.count[row])):
            mask = found.regions.masks[row, number][None]
            with torch.no_grad():
                score = lambda batch, _rows: net(batch)[:, 1]  # noqa: E731
                alone = scores_over_fills(score, images[row], mask, row)[0]
                nothing = scores_over_fills(score, images[row], torch.zeros_like(mask), row)[0]
                before = net(images[row : row + 1])[0, 1]
            share = ((alone - nothing) / (before - nothing)).min()
            assert share.item() == pytest.approx(found.regions.kept[row, number].item(), abs=1e-3)
            assert share >= 0.5


def test_the_answer_turns_when_what_speaks_for_it_is_hidden() -> None:
    image = scene()
    image[:, :, -8:, -8:] = 0
    found = MDM(Spots(), **QUICK).contrast(image, None, None)
    contrast = found.contrast
    assert contrast is not None
    assert (int(contrast.target[0]), int(contrast.against[0])) == (0, 1)
    assert bool(contrast.turned[0])
    assert contrast.hidden[0, 1] > contrast.hidden[0, 0]
    assert contrast.hiding[0, :8, :8].float().mean() > 0.3
    assert contrast.speaking[0, :8, :8].any()
    assert contrast.shown[0, 0] > contrast.shown[0, 1]
    assert found.summary()[0]["contrast"]["turned"]


@pytest.mark.slow
def test_a_given_fill_is_used_for_regions_and_contrasts() -> None:
    images = torch.cat([scene(), scene().flip(3) * 0.8, scene() * 0.9])  # further searches are of some of them
    fill = torch.zeros(3, 1, 1)
    mdm, zero = (MDM(Spots(), objective="logit", **QUICK, fill=(name,)) for name in ("given", "zero"))
    for found, same in (
        (mdm.regions(images, 0, fill_image=fill).regions, zero.regions(images, 0).regions),
        (mdm.contrast(images, 0, 1, fill_image=fill.expand_as(images)).contrast, zero.contrast(images, 0, 1).contrast),
    ):
        assert found is not None
        assert same is not None
        for name, values in found.tensors().items():
            torch.testing.assert_close(values, same.tensors()[name], equal_nan=True)
    for call in (lambda: mdm.regions(images, 0), lambda: mdm.contrast(images, 0, 1)):
        with pytest.raises(InputError, match="fill_image and fill='given' belong together"):
            call()
    with pytest.raises(InputError, match="fill_image and fill='given' belong together"):
        MDM(Spots(), **QUICK).regions(images, 0, fill_image=fill)


def test_what_a_contrast_did_not_find_is_null_in_json(tmp_path: Path) -> None:
    # Class 1 is the first everywhere, so no region keeps class 0 before it.
    found = MDM(lambda images: images.mean(dim=(2, 3))[:, :2] * 0.1 + torch.tensor([0.0, 9.0]), **QUICK)
    explanation = found.contrast(scene(), 0, 1)
    assert explanation.contrast is not None
    assert explanation.contrast.shown.isnan().all()
    assert explanation.summary()[0]["contrast"]["shown"] == [None, None]
    readable = explanation.save(tmp_path / "found").with_suffix(".json").read_text()
    json.loads(readable, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.mark.slow
def test_they_are_saved_with_the_explanation(tmp_path: Path) -> None:
    mdm = MDM(Spots(), **QUICK)
    for found in (mdm.regions(scene(), 0, count=2), mdm.contrast(scene(), 0, 1)):
        again = Explanation.load(found.save(tmp_path / "found"))
        for part in ("regions", "contrast"):
            before, after = getattr(found, part), getattr(again, part)
            assert (before is None) == (after is None)
            if before is not None:
                for name, values in before.tensors().items():
                    torch.testing.assert_close(values, after.tensors()[name], equal_nan=True)
        assert again.summary() == found.summary()


def test_what_cannot_be_asked_gets_one_sentence() -> None:
    mdm = MDM(network(), **QUICK)
    with pytest.raises(InputError, match="image 1 is to be explained as class 1 against class 1; give two classes"):
        mdm.contrast(photos(2), 1, [2, 1])
    with pytest.raises(InputError, match="3 values of against for 2 images"):
        mdm.contrast(photos(2), 1, [2, 3, 0])
    for classes, sentence in (
        ((99, None), "target 99 is out of range"), ((1, -1), "against -1 is out of range"),
        ((1.7, 2), "target is 1.7; it must be a class index"),
        ((1, torch.tensor([2.0])), "against is .* whole numbers"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=sentence):
            mdm.contrast(photos(2), *classes)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="count is 0"):
        mdm.regions(photos(1), 1, count=0)
    with pytest.raises(InputError, match="keep is"):
        mdm.regions(photos(1), 1, keep=0.0)
    with pytest.raises(ModelError, match="embedding"):
        MDM(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 40, 7)), output="embedding", **QUICK).contrast(
            photos(1), None, None
        )


def test_a_single_logit_has_two_classes_to_compare() -> None:
    class Corner(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return 6 * images[:, :, :8, :8].mean(dim=(1, 2, 3)).unsqueeze(1) - 2

    found = MDM(Corner(), output="logit", **QUICK).contrast(scene(), None, None)
    assert (int(found.contrast.target[0]), int(found.contrast.against[0])) == (1, 0)
    assert bool(found.contrast.turned[0])


@pytest.mark.slow
def test_volumes_have_regions() -> None:
    class Middle(nn.Module):
        def forward(self, volumes: Tensor) -> Tensor:
            return torch.stack([volumes[:, 0, 2:6, 6:12, 6:12].mean(dim=(1, 2, 3)) * 5, volumes[:, 0, 0, 0, 0]], dim=1)

    volume = torch.zeros(1, 1, 8, 24, 24)
    volume[:, :, 2:6, 6:12, 6:12] = 1
    found = MDM(Middle(), objective="logit", output="logits", members=2, steps=10).regions(volume, 0, count=2)
    assert int(found.regions.count[0]) >= 1
    assert found.regions.masks[0, 0, 2:6, 6:12, 6:12].float().mean() > 0.3


def test_cuts_grow_and_stay_where_they_may() -> None:
    saliency = torch.rand(40, 50, generator=torch.Generator().manual_seed(0))
    allowed = torch.zeros(40, 50, dtype=torch.bool)
    allowed[:, 25:] = True
    found = cuts(saliency)
    torch.testing.assert_close(found.float().mean(dim=(1, 2)), torch.tensor(AREAS), rtol=0, atol=1e-3)
    assert all(bool((small <= large).all()) for small, large in itertools.pairwise(found))
    assert not cuts(saliency, allowed)[:, :, :25].any()


def test_pieces_are_the_connected_parts() -> None:
    region = torch.zeros(1, 40, 48, dtype=torch.bool)
    region[0, 4:12, 4:12] = region[0, 20:32, 20:40] = True
    region[0, 0, 47] = True  # too small to be tried by itself
    found = with_pieces(torch.cat([region, torch.zeros_like(region)]))
    assert [int(each.sum()) for each in found] == [64, 240, 305]
    assert torch.equal(found[0] | found[1] | region[0], region[0])
