"""Does the score depend on the marked pixels if removed pixels look like their surroundings?"""

import pytest
import torch
from tests.metrics.toy import MANY_SEEDS, SIDE, drawn, ranked_maps, square_photo, square_score

from maskstack.errors import InputError
from maskstack.metrics import road, road_images
from maskstack.metrics.road import FRACTIONS


@pytest.mark.parametrize(("order", "descending"), [("morf", True), ("lerf", False)])
def test_the_most_or_least_salient_pixels_are_imputed(order: str, descending: bool) -> None:
    image, saliency = drawn(3, SIDE, SIDE), drawn(SIDE, SIDE, seed=1)
    images = road_images(image, saliency, order=order, fractions=(0, 0.25, 0.8), noise=0.01)
    assert images.shape == (3, 3, SIDE, SIDE)
    for made, fraction in zip(images, (0, 0.25, 0.8), strict=True):
        changed = (made != image).all(dim=0)
        count = round(fraction * SIDE * SIDE)
        expected = saliency.flatten().argsort(descending=descending)[:count]
        assert set(changed.flatten().nonzero()[:, 0].tolist()) == set(expected.tolist())


def test_the_score_is_that_of_the_images_and_only_the_order_of_the_map_counts() -> None:
    image, saliency = square_photo(), drawn(SIDE, SIDE, seed=1)
    values = [
        road(square_score, image, each, generator=torch.Generator().manual_seed(0))
        for each in (saliency, saliency**3 * 7 - 5)
    ]
    images = road_images(image, saliency, generator=torch.Generator().manual_seed(0))
    assert torch.equal(*values)
    assert torch.equal(values[0], square_score(images))
    assert values[0].shape == (len(FRACTIONS),)


@pytest.mark.parametrize("seed", MANY_SEEDS)
def test_where_the_evidence_lies_beats_chance_beats_the_reverse(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    gaps = []
    for map_ in ranked_maps(seed):
        lerf, morf = (
            road(square_score, square_photo(seed), map_, order=order, generator=generator).mean().item()
            for order in ("lerf", "morf")
        )
        gaps.append(lerf - morf)
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0.2
    assert gaps[2] < -0.2
    assert abs(gaps[1]) < 0.1


def test_wrong_arguments_are_refused() -> None:
    image, saliency = drawn(3, 6, 6), drawn(6, 6)
    with pytest.raises(InputError, match="order"):
        road_images(image, saliency, order="most")
    for fractions in ((), (1,), (-0.1,)):
        with pytest.raises(InputError, match="fractions"):
            road_images(image, saliency, fractions=fractions)
    with pytest.raises(InputError, match="every pixel"):
        road_images(image, saliency, fractions=(0.999,))
    with pytest.raises(InputError, match="height and width must be equal"):
        road_images(image, saliency[1:])
