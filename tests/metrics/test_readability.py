"""How many pieces does the map have, and how much do neighbours differ?"""

import math

import pytest
import torch
from skimage.measure import label
from tests.metrics.toy import drawn

from maskstack.errors import InputError
from maskstack.metrics import pieces, roughness


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.9])
def test_pieces_are_those_of_scikit_image(seed: int, threshold: float) -> None:
    saliency = drawn(17, 23, seed=seed)
    labels = label((saliency >= threshold * saliency.max()).numpy(), connectivity=2)
    sizes = [(labels == number).sum() for number in range(1, labels.max() + 1)]
    count, largest = pieces(saliency, threshold=threshold)
    assert count == labels.max()
    assert largest == pytest.approx(max(sizes) / sum(sizes))


def test_diagonal_neighbours_are_one_piece_and_a_constant_map_is_one() -> None:
    assert pieces(torch.eye(4)) == (1, 1.0)
    assert pieces(torch.zeros(3, 3)) == (1, 1.0)


def test_roughness_is_that_of_its_definition_and_does_not_depend_on_the_scale() -> None:
    saliency = drawn(8, 9, seed=0)
    down = sum(abs(saliency[y + 1, x] - saliency[y, x]) for y in range(7) for x in range(9)) / 63
    across = sum(abs(saliency[y, x + 1] - saliency[y, x]) for y in range(8) for x in range(8)) / 64
    assert roughness(saliency).item() == pytest.approx(float((down + across) / saliency.mean()))
    torch.testing.assert_close(roughness(3 * saliency), roughness(saliency))
    assert roughness(torch.zeros(4, 4)) == 0


def test_maps_that_are_not_maps_are_refused() -> None:
    for saliency in (torch.rand(1, 4, 4), torch.full((4, 4), math.nan), torch.full((4, 4), -1.0)):
        for metric in (pieces, roughness):
            with pytest.raises(InputError):
                metric(saliency)
