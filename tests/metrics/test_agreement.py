"""Rank agreement is Spearman's correlation."""

import pytest
import torch

from maskstack.metrics import mean_agreement, rank_agreement, rank_correlation

pytest.importorskip("scipy", reason="the extra 'bench' is not installed")


def test_it_is_spearmans_with_ties_and_constant_maps() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(5, 9, 13, generator=generator)
    maps[1] = (maps[1] * 4).round()  # many equal values
    maps[2] = maps[0] * 3 + 1
    maps[3] = maps[4] = 0.5
    found = rank_agreement(maps)
    for one in range(5):
        for other in range(5):
            assert found[one, other].item() == pytest.approx(rank_correlation(maps[one], maps[other]), abs=1e-12)


def test_the_mean_is_over_pairs_of_different_maps() -> None:
    maps = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(1))
    found = rank_agreement(maps)
    expected = (found[0, 1] + found[0, 2] + found[1, 2]) / 3
    assert mean_agreement(maps).item() == pytest.approx(expected.item())
    assert mean_agreement(maps[:1]).isnan()
    assert mean_agreement(maps[:0]).isnan()


def test_a_map_with_nan_agrees_with_nothing_that_could_be_told() -> None:
    maps = torch.rand(2, 4, 4)
    maps[1, 2, 2] = torch.nan
    assert rank_agreement(maps)[0, 1].isnan()
