"""Does a prototype mean the same part in every image?"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskstack.errors import InputError
from maskstack.prototypes.parts import (
    Hits,
    best_part,
    merged,
    part_consistency,
    part_purity,
    part_stability,
    parts_in,
    perturbed,
)

NAMES = ("beak", "left_wing", "right_wing", "left leg", "tail")


@st.composite
def images(draw) -> Hits:
    visible = draw(st.frozensets(st.sampled_from(NAMES)))
    return Hits(visible, frozenset(part for part in sorted(visible) if draw(st.booleans())))


FOUND = st.lists(images(), max_size=12)


def seen(visible: str, hit: str = "") -> Hits:
    return Hits(frozenset(visible.split()), frozenset(hit.split()))


def written_out_means(found: list[Hits], groups: dict[str, list[str]], least: int) -> dict[str, float]:
    means = {}
    for group, members in groups.items():
        presences = []
        for hits in found:
            if any(part in hits.visible for part in members):
                presences.append(1 if any(part in hits.hit for part in members) else 0)
        if len(presences) >= least:
            means[group] = sum(presences) / len(presences)
    return means


@pytest.mark.slow
@given(FOUND, st.integers(1, 4))
@settings(deadline=None, max_examples=100)
def test_the_best_part_is_that_of_a_written_out_loop(found: list[Hits], least: int) -> None:
    means = written_out_means(found, {name: [name] for name in NAMES}, least)
    best = best_part(found, least=least)
    if not means:
        assert best is None
        assert math.isnan(part_consistency(found, least=least))
    else:
        assert best is not None
        assert best[1] == max(means.values()) == means[best[0]]
        for share in (0.2, 0.5, 0.8, 1):
            consistent = any(mean >= share for mean in means.values())
            assert part_consistency(found, share=share, least=least) == consistent


@pytest.mark.slow
@given(FOUND, st.integers(1, 4))
@settings(deadline=None, max_examples=100)
def test_purity_is_the_highest_mean_over_parts_without_sides(found: list[Hits], least: int) -> None:
    groups = {"beak": ["beak"], "wing": ["left_wing", "right_wing"], "leg": ["left leg"], "tail": ["tail"]}
    means = written_out_means(found, groups, least)
    purity = part_purity(found, least=least)
    assert purity == max(means.values()) if means else math.isnan(purity)


@pytest.mark.slow
@given(FOUND, st.randoms())
@settings(deadline=None, max_examples=50)
def test_the_order_of_the_images_counts_for_nothing(found: list[Hits], chance) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert best_part(found) == best_part(shuffled)
    assert part_purity(found + found) == part_purity(shuffled + shuffled) or not any(hits.visible for hits in found)


@pytest.mark.slow
@given(st.lists(images(), min_size=1, max_size=12), st.integers(0, 12))
@settings(deadline=None, max_examples=50)
def test_stability_counts_the_images_that_did_not_change(found: list[Hits], changes: int) -> None:
    after = list(found)
    for place, hits in enumerate(found[:changes]):
        after[place] = Hits(hits.visible, hits.visible - hits.hit)  # A change wherever there is a part.
    same = sum(not hits.visible for hits in found[:changes]) + len(found[changes:])
    assert part_stability(found, found) == 1
    assert part_stability(found, after) == part_stability(after, found) == pytest.approx(same / len(found))


def test_consistent_from_four_fifths_on_where_the_part_is_visible() -> None:
    found = [seen("beak tail", "beak")] * 4 + [seen("beak tail")] + [seen("tail", "tail")] * 3
    assert best_part(found) == ("beak", 0.8)
    assert part_consistency(found) == 1
    assert part_consistency([*found, seen("beak")]) == 0


def test_two_parts_hit_half_the_time_each_make_no_consistent_prototype() -> None:
    found = [seen("beak tail", "beak"), seen("beak tail", "tail")] * 5
    assert part_consistency(found) == 0
    assert best_part(found) == ("beak", 0.5), "the first of equals by name"


def test_a_part_seen_once_does_not_count_and_of_equals_the_one_seen_most_often_is_named() -> None:
    found = [seen("beak", "beak"), seen("tail"), seen("tail", "tail")]
    assert best_part(found) == ("tail", 0.5)
    assert best_part(found, least=1) == ("beak", 1)
    assert best_part([seen("beak tail", "beak tail")] * 2 + [seen("tail", "tail")]) == ("tail", 1)


def test_nothing_is_said_where_no_part_counts() -> None:
    for found in ([], [seen("")] * 3, [seen("beak", "beak")]):
        assert best_part(found) is None
        assert math.isnan(part_consistency(found))
        assert math.isnan(part_purity(found))
    assert math.isnan(part_stability([], []))


def test_one_wing_of_two_is_the_wing() -> None:
    found = [seen("left_wing right_wing", "left_wing"), seen("left_wing right_wing", "right_wing")]
    assert part_purity(found) == 1
    assert best_part(found) == ("left_wing", 0.5)
    # Merging may also make a part count that neither side does.
    assert part_purity([seen("left_wing", "left_wing"), seen("right_wing")]) == 0.5


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("left_wing", "wing"), ("right_wing", "wing"), ("left wing", "wing"), ("right-eye", "eye"), ("wing", "wing"),
        ("leftover", "leftover"), ("upright_tail", "upright_tail"), ("left", "left"), ("left_", "left_"), ("", ""),
    ],
)  # fmt: skip
def test_names_lose_their_side_and_nothing_else(name: str, without: str) -> None:
    assert merged(name) == without
    assert merged(without) == without


@given(st.dictionaries(st.sampled_from(NAMES), st.tuples(st.floats(-9, 30), st.floats(-9, 30))))
@settings(deadline=None, max_examples=60)
def test_the_four_quarters_share_out_the_parts_of_the_image(parts) -> None:
    quarters = [(0, 0, 8, 10), (8, 0, 20, 10), (0, 10, 8, 20), (8, 10, 20, 20)]
    within = [parts_in(box, parts) for box in quarters]
    whole = parts_in((0, 0, 20, 20), parts)
    assert sum(map(len, within)) == len(whole), "no part is in two of them"
    assert frozenset().union(*within) == whole
    assert whole == {name for name, (x, y) in parts.items() if 0 <= x < 20 and 0 <= y < 20}


def test_the_edge_beyond_a_box_and_places_outside_are_not_in_it() -> None:
    parts = {
        "at": (3.0, 5.0),
        "right": (7.0, 5.0),
        "below": (3.0, 9.0),
        "outside": (-1.0, 5.0),
        "lost": (math.nan, 5.0),
    }
    assert parts_in((3, 5, 7, 9), parts) == {"at"}
    assert parts_in((3, 5, 7, 9), {}) == frozenset()


@given(st.integers(-(2**31), 2**31), st.floats(0, 1), st.floats(0, 1))
@settings(deadline=None, max_examples=30)
def test_noise_is_bound_repeatable_and_draws_from_no_other_generator(seed, deviation, bound) -> None:
    image = torch.zeros(3, 8, 8)
    state = torch.get_rng_state()
    moved = perturbed(image, deviation=deviation, bound=bound, seed=seed)
    assert torch.equal(torch.get_rng_state(), state)
    assert moved.abs().max().item() <= bound + 1e-6
    torch.rand(7)
    assert torch.equal(perturbed(image, deviation=deviation, bound=bound, seed=seed), moved)
    assert not image.any(), "the image itself stays"


def test_noise_is_normal_and_clipped_not_drawn_again() -> None:
    noise = perturbed(torch.zeros(3, 224, 224), seed=3)
    clipped = math.erfc(0.25 / 0.2 / math.sqrt(2))  # Share of a normal distribution beyond 1.25 deviations.
    assert (noise.abs() == 0.25).double().mean().item() == pytest.approx(clipped, abs=0.005)
    assert noise.mean().item() == pytest.approx(0, abs=0.002)
    inner = noise[noise.abs() < 0.1].numel() / noise.numel()
    assert inner == pytest.approx(math.erf(0.1 / 0.2 / math.sqrt(2)), abs=0.005)
    assert not torch.equal(noise, perturbed(torch.zeros(3, 224, 224), seed=4))
    assert torch.equal(perturbed(torch.ones(2, 5), deviation=0, seed=3), torch.ones(2, 5))
    assert perturbed(torch.zeros(3, 4, 4, dtype=torch.float16), seed=3).dtype == torch.float16


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: seen("beak", "tail"), "'tail' is hit but not visible"),
        (lambda: best_part([], least=0), "at least 1"),
        (lambda: part_purity([], least=0), "at least 1"),
        (lambda: part_consistency([], share=0), "above 0"),
        (lambda: part_consistency([], share=80), "up to 1"),
        (lambda: part_stability([seen("beak")], []), "same images"),
        (lambda: part_stability([seen("beak")] * 2, [seen("beak"), seen("tail")]), "image 1"),
        (lambda: perturbed(torch.zeros(2), deviation=-1, seed=0), "from 0 on"),
        (lambda: perturbed(torch.zeros(2), bound=math.nan, seed=0), "from 0 on"),
    ],
)
def test_what_makes_no_sense_is_refused(call, word: str) -> None:
    with pytest.raises(InputError, match=word):
        call()
