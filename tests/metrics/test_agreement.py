"""Rank agreement is Spearman's correlation."""

import pytest
import torch

from maskstack.metrics import mean_agreement, rank_agreement, rank_correlation

stats = pytest.importorskip("scipy.stats", reason="the extra 'bench' is not installed")


def test_it_is_spearmans_with_ties_and_constant_maps() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(5, 9, 13, generator=generator)
    maps[1] = (maps[1] * 4).round()  # many equal values
    maps[2] = maps[0] * 3 + 1
    expected = stats.spearmanr(maps.flatten(1).double().numpy(), axis=1).statistic[:3, :3]
    maps[3] = maps[4] = 0.5
    found = rank_agreement(maps)
    assert found[:3, :3].numpy() == pytest.approx(expected[:3, :3], abs=1e-12)
    assert found[3, :3].tolist() == [0, 0, 0], "a constant map agrees with no other"
    assert found[3, 4] == 1, "two constant maps rank the pixels in the same way"
    assert rank_correlation(maps[0], maps[1]) == pytest.approx(expected[0, 1], abs=1e-12)


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
