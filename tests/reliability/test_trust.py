"""Trust measures what it says, is low for a map that is wrong, and leaves the network unchanged."""

import copy
import dataclasses

import pytest
import torch
from PIL import Image
from tests.small import network, photos
from torch import Tensor, nn

from maskstack import MDM, Explanation, InputError, LoadedModel, Trust, load_model, objectives, trust
from maskstack.explainers.controls import Control
from maskstack.metrics import cascade, rank_correlation
from maskstack.reliability.fills import CELLS, cell_colours, spread_colours
from maskstack.reliability.measure import BLANK, PASSES, TOGETHER, measure, region_of
from maskstack.reliability.verdict import REGION_SHARE, Numbers, verdict
from maskstack.scoring import scoring
from maskstack.tensors import ranks

QUICK = {"sizes": (2, 5), "steps": 6}


def corner(images: Tensor) -> Tensor:
    """A score that hangs on the upper left quarter alone."""
    return images[:, :, :16, :20].square().mean(dim=(1, 2, 3))


def corner_map(count: int) -> Tensor:
    """Open on that quarter and a little beside it: as many pixels as the region has."""
    saliency = torch.zeros(count, 32, 40)
    saliency[:, :24, :24] = 1
    assert saliency[0].mean() == pytest.approx(REGION_SHARE)
    return saliency


def test_the_measures_are_what_their_names_say() -> None:
    images, before = photos(2), corner(photos(2))
    saliency = torch.rand(2, 32, 40, generator=torch.Generator().manual_seed(2))
    found = measure(lambda batch, _rows: corner(batch), images, saliency, before)
    fill = nn.functional.interpolate(
        nn.functional.adaptive_avg_pool2d(images, CELLS), size=(32, 40), mode="bilinear", align_corners=False
    )
    torch.testing.assert_close(cell_colours(images), fill)
    region = torch.zeros(2, 32 * 40, dtype=torch.bool)
    region.scatter_(1, saliency.flatten(1).argsort(dim=1, descending=True)[:, : round(REGION_SHARE * 32 * 40)], True)
    region = region.view(2, 1, 32, 40)
    soft = saliency.unsqueeze(1)
    mean = images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    spread, rest = spread_colours(images, soft), spread_colours(images, 1 - soft)
    for number, (hidden, shown, without) in enumerate(
        (
            (fill, region * images + ~region * fill, ~region * images + region * fill),
            (mean, soft * images + (1 - soft) * spread, (1 - soft) * images + soft * rest),
        )
    ):
        gap = before - corner(hidden)
        for name, image in (("kept", shown), ("remaining", without)):
            expected = (corner(image) - corner(hidden)) / gap
            torch.testing.assert_close(getattr(found, name)[:, number], expected, rtol=1e-4, atol=1e-5)
    assert found.agreement.isnan().all()
    assert found.probability.isnan().all()
    assert found.randomization.isnan().all()
    assert found.seeds.shape == (2, 0)
    assert found.problems == (None, None)


@pytest.mark.parametrize("share", [0.0, 0.1, REGION_SHARE, 1.0])
def test_the_region_takes_equal_values_in_reading_order(share: float) -> None:
    levels = torch.randint(0, 4, (3, 9, 11), generator=torch.Generator().manual_seed(0)) / 3
    maps = torch.cat([levels, torch.full((1, 9, 11), 0.5), torch.rand(1, 9, 11)])
    expected = torch.stack([ranks(each) < round(share * 99) for each in maps]).unsqueeze(1)
    assert torch.equal(region_of(maps, share), expected)


def test_many_maps_are_measured_as_each_by_itself() -> None:
    images, maps = photos(1).repeat(TOGETHER + 3, 1, 1, 1), torch.rand(TOGETHER + 3, 32, 40)
    images = images * torch.linspace(0.5, 1.5, len(images)).reshape(-1, 1, 1, 1)
    factor = torch.linspace(1, 2, len(images))  # a score that depends on which image it is
    problems = [f"problem {number}" for number in range(len(images))]

    def measured(rows: slice) -> Trust:
        own = factor[rows]
        before = own * corner(images[rows])
        return measure(
            lambda batch, places: own[places] * corner(batch), images[rows], maps[rows], before, problems=problems[rows]
        )

    together = measured(slice(None))
    for row in (0, TOGETHER - 1, TOGETHER, TOGETHER + 2):
        alone = measured(slice(row, row + 1))
        torch.testing.assert_close(together.select(row).kept, alone.kept)
        torch.testing.assert_close(together.select(row).remaining, alone.remaining)
        assert together.problems[row] == problems[row]


def test_nothing_of_what_is_hidden_remains_in_the_spread_colours() -> None:
    images, region = photos(2), torch.rand(2, 1, 32, 40, generator=torch.Generator().manual_seed(3)) > 0.7
    changed = torch.where(region, images, torch.randn_like(images))
    torch.testing.assert_close(spread_colours(images, region), spread_colours(changed, region))
    nothing = torch.zeros_like(region)
    torch.testing.assert_close(spread_colours(images, nothing), images.mean(dim=(2, 3), keepdim=True).expand_as(images))


def test_shares_do_not_depend_on_the_scores_unit_or_sign() -> None:
    images, maps = photos(2), corner_map(2)
    plain = measure(lambda x, _: corner(x), images, maps, corner(images))
    other = measure(lambda x, _: 7 * corner(x) - 9, images, maps, 7 * corner(images) - 9)
    for name in ("kept", "remaining"):
        torch.testing.assert_close(getattr(plain, name), getattr(other, name), rtol=1e-3, atol=1e-4)


def test_the_right_region_is_trusted_and_the_wrong_one_is_not() -> None:
    images = photos(2)

    right = trust(lambda x: x, images, corner_map(2), corner)
    wrong = trust(lambda x: x, images, corner_map(2).flip(1, 2).unsqueeze(1), corner)
    assert (right.kept > 0.7).all()
    assert (right.remaining < 0.3).all()
    assert right.verdict(0).word == "reliable"
    assert right.verdict(0).reasons == ()
    assert (wrong.kept < 0.15).all()
    assert (wrong.remaining > 0.5).all()
    assert wrong.verdict(1).word == "do not use"
    assert wrong.verdict(0).reasons[0].startswith("what the map shows keeps")


def test_without_evidence_no_region_carries_it() -> None:
    found = trust(lambda x: x.mean(dim=(2, 3)) * 0 + 1, photos(1), corner_map(1), 1)
    assert found.kept.isnan().all()
    assert found.verdict(0).word == "do not use"
    assert found.verdict(0).reasons[0] == BLANK


def test_a_class_of_low_probability_is_not_called_reliable() -> None:
    net = network()
    probability = net.eval()(photos(1)).detach().softmax(dim=1)[0]
    found = trust(net, photos(1), corner_map(1), int(probability.argmin()))
    assert found.probability.item() == pytest.approx(float(probability.min()), abs=1e-5)


@pytest.mark.parametrize("maps", [torch.zeros(1, 32, 40), torch.zeros(2, 32, 32), torch.full((2, 32, 40), 2.0)])
def test_maps_that_do_not_fit_get_one_sentence(maps: Tensor) -> None:
    with pytest.raises(InputError, match="they must be 2 x 32 x 40, from 0 to 1"):
        trust(network(), photos(2), maps, 1)


@pytest.mark.slow
def test_every_explanation_has_trust_and_its_passes_are_counted() -> None:
    net, seen = network(), []
    net[0].register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    mdm = MDM(net, **QUICK, batch_size=2)
    found = mdm(photos(3), 1)
    assert sum(seen) == int(found.forward_passes.sum()) == mdm.cost(3)["forward"]
    assert max(seen) <= 2
    assert len(found.trust) == 3
    assert found.trust.agreement.isfinite().all()
    alone = mdm(photos(3)[1:2], 1).trust
    torch.testing.assert_close(found.trust.agreement[1:2], alone.agreement, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.agreement, found.trust.agreement)


def test_a_method_without_members_is_measured_on_request() -> None:
    found = Control(network(), kind="centre")(photos(2), 1)
    assert [found.trust.verdict(row).word for row in range(2)] == ["not measured"] * 2


def test_measuring_a_map_takes_the_passes_it_says() -> None:
    net, seen = network(), []
    net[0].register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    with scoring(net, photos(3), 1, batch_size=2) as scored:
        before = scored.scores(scored.images)
        seen.clear()
        measure(scored.scores, scored.images, corner_map(3), before)
    assert sum(seen) == PASSES * 3
    assert scored.forward_passes.tolist() == [2 + PASSES] * 3  # with the prediction and the score before


@pytest.mark.slow
def test_checks_compare_seeds_and_a_randomised_network_and_count_their_passes() -> None:
    net, seen = network(), []
    mdm = MDM(net, **QUICK, fill="noise")
    images = photos(2)
    plain = mdm(images, [1, 2])
    state = {key: value.clone() for key, value in net.state_dict().items()}
    random_state = torch.get_rng_state()
    net[0].register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    found = mdm.check(images, plain, seeds=3, randomize=True)
    assert sum(seen) == int((found.forward_passes - plain.forward_passes).sum())
    assert found.backward_passes.tolist() == [4 * count for count in plain.backward_passes.tolist()]
    assert all(torch.equal(state[key], value) for key, value in net.state_dict().items())
    assert torch.equal(random_state, torch.get_rng_state())
    assert net.training
    assert torch.equal(found.saliency, plain.saliency)
    assert torch.equal(found.trust.agreement, plain.trust.agreement)
    another = MDM(net, **QUICK, fill="noise", seed=2)(images, [1, 2])
    expected = rank_correlation(plain.saliency[1, 0], another.saliency[1, 0])
    assert found.trust.seeds.shape == (2, 2)
    assert found.trust.seeds[1, 1].item() == pytest.approx(expected, abs=1e-5)
    made_random = copy.deepcopy(net)
    with cascade(made_random) as layers:
        list(layers)
        other = mdm._like(made_random)(images, [1, 2])
    expected = rank_correlation(plain.saliency[0, 0], other.saliency[0, 0])
    assert found.trust.randomization[0].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_checks_refuse_what_was_not_explained() -> None:
    net, images = network(), photos(2)
    mdm = MDM(net, **QUICK)
    found = mdm(images, objectives.contrast(1, 2))
    with pytest.raises(InputError, match="give the explained images and objective"):
        mdm.check(images, found, 3, seeds=2)
    with pytest.raises(InputError, match="give the explained images and objective"):
        mdm.check(images[:1], found, objectives.contrast(1, 2), seeds=2)
    with pytest.raises(InputError, match="seeds is 0"):
        mdm.check(images, found, objectives.contrast(1, 2), seeds=0)
    with pytest.raises(InputError, match=r"randomize needs an nn\.Module"):
        MDM(lambda x: net(x), **QUICK).check(images, found, objectives.contrast(1, 2), randomize=True)
    assert mdm.check(images, found, objectives.contrast(1, 2), seeds=2).trust.seeds.isfinite().all()


def test_a_random_network_that_gives_nan_leaves_nothing_to_compare() -> None:
    class Fragile(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.own = network(), nn.Parameter(torch.ones(3))

        def forward(self, images: Tensor) -> Tensor:
            return self.inner(images) * torch.where((self.own == 1).all(), 1.0, torch.nan)

    net = Fragile()
    mdm = MDM(net, **QUICK)
    found = mdm.check(photos(1), mdm(photos(1), 1), randomize=True)
    assert found.trust.randomization.isnan().all()
    assert (net.own == 1).all()


GOOD = Numbers(
    region_kept=0.7,
    region_remaining=0.1,
    map_kept=0.93,
    map_remaining=0.08,
    agreement=0.6,
    probability=0.8,
    seeds=None,
    randomization=None,
)


def test_a_reliable_map_says_what_its_region_does() -> None:
    found = verdict(GOOD, None)
    assert (found.word, found.reasons) == ("reliable", ())
    assert found.sentence == "What the map shows keeps 82% of the score; with it hidden, 9% remains."
    odd = verdict(dataclasses.replace(GOOD, map_kept=81.81, map_remaining=-0.01), None)
    assert odd.sentence == "What the map shows keeps 85% of the score; with it hidden, 5% remains."


@pytest.mark.parametrize(
    ("change", "word", "reason"),
    [
        (
            {"map_kept": -0.4, "region_kept": 0.5},
            "do not use",
            "what the map shows keeps 25% of the score, but with it hidden 9% remains",
        ),
        (
            {"map_remaining": 0.7},
            "doubtful",
            "what the map shows keeps 82% of the score, but with it hidden 40% remains",
        ),
        (
            {"region_remaining": 0.97},
            "doubtful",
            "what the map shows keeps 82% of the score, but with it hidden 52% remains",
        ),
        (
            {"region_kept": 0.02, "map_kept": 1.1, "map_remaining": 0.0, "region_remaining": 0.0},
            "doubtful",
            "cut out with a hard edge, the most salient 45% of the image keeps only 2% of the score, so the faint "
            "parts of the map matter too",
        ),
        ({"agreement": -0.1}, "do not use", "the members of the search disagree (rank correlation -0.10)"),
        ({"probability": 0.012}, "doubtful", "the network gives this class a probability of only 1.2%"),
        ({"seeds": 0.2}, "doubtful", "another seed gives another map (rank correlation 0.20)"),
        (
            {"randomization": 0.95},
            "do not use",
            "a network with random weights gives nearly the same map (rank correlation 0.95)",
        ),
    ],
)
def test_each_number_can_speak_against_a_map(change: dict[str, float], word: str, reason: str) -> None:
    found = verdict(dataclasses.replace(GOOD, **change), None)
    assert found.word == word
    assert found.reasons == (reason,)
    assert found.sentence.lower().startswith(reason[:20].lower())


def test_a_problem_comes_first_and_nothing_measured_is_not_a_verdict() -> None:
    assert verdict(GOOD, "it is flat").sentence == "It is flat."
    assert verdict(GOOD, "it is flat").word == "do not use"
    missing = Trust.not_measured((None, "it is flat"))
    assert [missing.verdict(row).word for row in range(2)] == ["not measured", "do not use"]


@pytest.fixture(scope="module")
def net() -> LoadedModel:
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'demo' is not installed")
    return load_model("bundled")


@pytest.fixture(scope="module")
def image(net: LoadedModel) -> Tensor:
    data = pytest.importorskip("skimage.data", reason="the extra 'demo' is not installed")
    return net.preprocess(Image.fromarray(data.coffee())).unsqueeze(0)


@pytest.fixture(scope="module")
def found(net: LoadedModel, image: Tensor) -> Explanation:
    mdm = MDM(net, preset="fast")
    return mdm.check(image, mdm(image), seeds=2, randomize=True)


@pytest.mark.slow
def test_it_is_high_for_a_real_photograph(found: Explanation) -> None:
    assert found.trust.verdict(0).word == "reliable"
    assert found.trust.kept[0, 1] > 0.8
    assert found.trust.remaining[0, 1] < 0.2
    assert found.trust.seeds > 0.8
    assert found.trust.randomization < 0.6


@pytest.mark.slow
def test_it_falls_for_a_random_map(net: LoadedModel, image: Tensor, found: Explanation) -> None:
    control = Control(net, kind="random")(image)
    low = trust(net, image, control.saliency, list(found.target))
    assert low.kept.amin() < found.trust.kept.amin() - 0.3
    assert low.verdict(0).word != "reliable"


@pytest.mark.slow
def test_it_falls_on_a_network_made_random(net: LoadedModel, image: Tensor) -> None:
    with cascade(net.model) as layers:
        list(layers)
        low = MDM(net, preset="fast")(image)
    assert low.trust.verdict(0).word != "reliable"
