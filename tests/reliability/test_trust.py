"""Trust measures what it says, is low for a map that is wrong, and leaves the network unchanged."""

import copy
import dataclasses

import pytest
import torch
from maskstack.trust.measure import CELLS, PASSES, REGION, cell_colours, measure
from maskstack.trust.verdict import LOW, Trust
from PIL import Image
from tests.small import network, photos
from torch import Tensor, nn

from maskstack import MDM, Explanation, InputError, LoadedModel, load_model, objectives
from maskstack.explainers.controls import Control
from maskstack.metrics import cascade, rank_correlation
from maskstack.scoring import Goal, scoring

QUICK = {"sizes": (2, 5), "steps": 6}


def corner(images: Tensor) -> Tensor:
    """A score that hangs on the upper left quarter alone."""
    return images[:, :, :16, :20].square().mean(dim=(1, 2, 3))


def trust(model: object, images: Tensor, maps: Tensor, goal: Goal) -> Trust:
    """Trust in maps that come from anywhere."""
    with scoring(model, images, goal) as scored:
        return measure(scored.scores, scored.images, maps, scored.scores(scored.images))


def corner_map(count: int) -> Tensor:
    """Open on that quarter and a little beside it: as many pixels as the region has."""
    saliency = torch.zeros(count, 32, 40)
    saliency[:, :16, :24] = 1
    assert saliency[0].mean() == pytest.approx(REGION)
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
    region.scatter_(1, saliency.flatten(1).argsort(dim=1, descending=True)[:, : round(REGION * 32 * 40)], True)
    region = region.view(2, 1, 32, 40)
    soft = saliency.unsqueeze(1)
    shown = {
        "kept": region * images + ~region * fill,
        "removed": ~region * images + region * fill,
        "fill": soft * images + (1 - soft) * fill,
    }
    for name, image in shown.items():
        expected = (corner(image) - corner(fill)) / (before - corner(fill))
        torch.testing.assert_close(getattr(found, name), expected, rtol=1e-4, atol=1e-5)
    assert found.sizes.isnan().all()
    assert found.randomization.isnan().all()
    assert found.seeds.shape == (2, 0)


def test_shares_do_not_depend_on_the_scores_unit_or_sign() -> None:
    images, maps = photos(2), corner_map(2)
    plain = measure(lambda x, _: corner(x), images, maps, corner(images))
    other = measure(lambda x, _: 7 * corner(x) - 9, images, maps, 7 * corner(images) - 9)
    for name in ("kept", "removed", "fill"):
        torch.testing.assert_close(getattr(plain, name), getattr(other, name), rtol=1e-3, atol=1e-4)


def test_the_right_region_is_trusted_and_the_wrong_one_is_not() -> None:
    images = photos(2)

    def goal(output: Tensor) -> Tensor:
        return corner(output)

    right = trust(lambda x: x, images, corner_map(2), goal)
    wrong = trust(lambda x: x, images, corner_map(2).flip(1, 2), goal)
    assert (right.kept > 0.7).all()
    assert (right.removed < 0.3).all()
    assert (right.fill > 0.99).all()
    assert right.doubts(0) == []
    assert (wrong.kept < 0.1).all()
    assert (wrong.removed > 0.9).all()
    assert all(reason.startswith(LOW) for reason in wrong.doubts(1))
    assert "the region alone keeps" in wrong.doubts(0)[0]


def test_without_evidence_no_region_carries_it() -> None:
    found = trust(lambda x: x.mean(dim=(2, 3)) * 0 + 1, photos(1), corner_map(1), 1)
    assert found.kept.isnan().all()
    assert found.words(0) == "nothing could be measured"
    assert found.doubts(0) == [LOW + "a blank image scores as high, so no region explains the score"]


@pytest.mark.parametrize("maps", [torch.zeros(1, 32, 40), torch.zeros(2, 32, 32), torch.full((2, 32, 40), 2.0)])
def test_maps_that_do_not_fit_get_one_sentence(maps: Tensor) -> None:
    with pytest.raises(InputError, match="they must be 2 x 32 x 40, from 0 to 1"):
        trust(network(), photos(2), maps, 1)


def test_every_explanation_has_trust_and_its_passes_are_counted() -> None:
    net, seen = network(), []
    net[0].register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    mdm = MDM(net, **QUICK, batch_size=2)
    found = mdm(photos(3), 1)
    assert sum(seen) == int(found.forward_passes.sum()) == mdm.cost(3)["forward"]
    assert max(seen) <= 2
    assert len(found.trust) == 3
    assert found.trust.sizes.isfinite().all()
    alone = mdm(photos(3)[1:2], 1).trust
    torch.testing.assert_close(found.trust.sizes[1:2], alone.sizes, rtol=0, atol=1e-3)
    for row, reason in enumerate(found.degenerate):
        assert reason is not None or not found.trust.doubts(row)


def test_measuring_a_map_takes_the_passes_it_says() -> None:
    net, seen = network(), []
    net[0].register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    with scoring(net, photos(3), 1, batch_size=2) as scored:
        before = scored.scores(scored.images)
        seen.clear()
        measure(scored.scores, scored.images, corner_map(3), before)
    assert sum(seen) == PASSES * 3
    assert scored.forward_passes.tolist() == [2 + PASSES] * 3  # with the prediction and the score before


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
    assert torch.equal(found.trust.sizes, plain.trust.sizes)
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
    with pytest.raises(InputError, match="has no trust measured"):
        mdm.check(images, dataclasses.replace(found, trust=None), objectives.contrast(1, 2), seeds=2)
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


def some(**values: float) -> Trust:
    usual = {"kept": 0.9, "removed": 0.1, "fill": 0.9, "sizes": 0.5, "seeds": 0.9, "randomization": 0.1} | values
    tensors = {name: torch.tensor([0.5, value]) for name, value in usual.items()}
    return Trust(**tensors | {"seeds": tensors["seeds"].unsqueeze(1)})


def test_numbers_and_doubts_are_put_into_words() -> None:
    assert some().words(1) == (
        "the region alone keeps 90% of the score; without it, 10% of the score remains; "
        "over another fill the map keeps 90%; agreement of sizes 0.50; agreement of seeds 0.90; "
        "agreement with a randomised network 0.10"
    )
    assert some(seeds=torch.nan, sizes=torch.nan).numbers(1)["sizes"] is None
    assert some().doubts(1) == []
    for name, value, words in (
        ("kept", 0.12, "low trust: the region alone keeps 12% of the score"),
        ("removed", 0.97, "low trust: 97% of the score remains without the region"),
        ("fill", 0.05, "low trust: over another fill the map keeps 5% of the score"),
        ("sizes", -0.4, "low trust: the masks of the sizes disagree (rank correlation -0.40)"),
        ("seeds", 0.2, "low trust: another seed gives another map (rank correlation 0.20)"),
        (
            "randomization",
            0.95,
            "low trust: a network with random weights gives nearly the same map (rank correlation 0.95)",
        ),
    ):
        assert some(**{name: value}).doubts(1) == [words]
        assert some(**{name: value}).doubts(0) == []


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
    mdm = MDM(net, steps=30)
    return mdm.check(image, mdm(image), seeds=2, randomize=True)


@pytest.mark.slow
def test_it_is_high_for_a_real_photograph(found: Explanation) -> None:
    assert found.trust.doubts(0) == []
    assert found.degenerate == (None,)
    assert found.trust.kept > 0.4
    assert found.trust.removed < 0.1
    assert found.trust.seeds > 0.8
    assert found.trust.randomization < 0.6


@pytest.mark.slow
def test_it_falls_for_a_random_map(net: LoadedModel, image: Tensor, found: Explanation) -> None:
    control = Control(net, kind="random")(image)
    low = trust(net, image, control.saliency[:, 0], list(found.target))
    assert low.kept < found.trust.kept - 0.3
    assert low.doubts(0)


@pytest.mark.slow
def test_it_falls_on_a_network_made_random(net: LoadedModel, image: Tensor, found: Explanation) -> None:
    with cascade(net.model) as layers:
        list(layers)
        low = MDM(net, steps=10)(image)
    assert low.trust.kept.isnan() or low.trust.kept <= found.trust.kept - 0.3  # NaN where nothing can be kept
    assert low.trust.doubts(0)
    assert low.degenerate != (None,)
