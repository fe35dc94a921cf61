"""What the leaderboard measures on a real network: known answers, and controls where they must come out."""

from dataclasses import replace

import pytest
import torch
from tests.leaderboard.runs import SMALL

from maskstack.errors import InputError
from maskstack.explainers.table import METHODS, make_explainer
from maskstack.leaderboard.measures import DEFAULT_GROUPS, GROUPS, MapUnderTest
from maskstack.leaderboard.request import BenchRequest
from maskstack.leaderboard.work import BenchNetwork

pytestmark = pytest.mark.slow

PHOTOS = ("cat.jpg", "tripod.jpg")


def loaded(annotated, model):
    request = BenchRequest(
        models=(model,), data=str(annotated), methods=("random",), groups=DEFAULT_GROUPS, curve_steps=8
    )
    return BenchNetwork(request.specs["small"], request)


@pytest.fixture(scope="module")
def network(annotated):
    return loaded(annotated, SMALL)


@pytest.fixture(scope="module")
def usual(annotated):
    """The network with its usual input: where fewer pixels are seen, hiding some of them matters less."""
    return loaded(annotated, "small=bundled")


def measured(network, case, saliency, *groups, method="random"):
    tested = MapUnderTest(case, saliency, network.explainer(method), network.net.model, curve_steps=8)
    return {value.metric: value for group in groups for value in GROUPS[group].measure(tested)}


def means(network, method, *groups):
    found = []
    for name in PHOTOS:
        case = network.case(name)
        saliency = network.explainer(method)(case.image.unsqueeze(0), case.target).saliency[0, 0]
        found.append(measured(network, case, saliency, *groups, method=method))
    return {metric: sum(values[metric].value for values in found) / len(found) for metric in found[0]}


def test_the_controls_come_out_where_they_must(usual):
    groups = ("faithfulness", "road", "localization")
    gradcam, centre, by_chance = (means(usual, name, *groups) for name in ("gradcam", "centre", "random"))
    for metric, sign in (
        ("insertion_wide", 1), ("insertion_narrow", 1), ("deletion_zero", -1), ("deletion_mean", -1),
        ("average_drop", -1), ("road_probability", 1), ("energy_pointing_game", 1), ("box_ious", 1),
    ):  # fmt: skip
        assert sign * gradcam[metric] > sign * by_chance[metric], metric
    assert centre["insertion_wide"] > by_chance["insertion_wide"]


def test_the_box_itself_is_the_best_map_where_boxes_judge(network):
    case = network.case("cat.jpg")
    found = measured(network, case, case.truth.inside.float(), "localization", "complexity")
    assert found["energy_pointing_game"].value == 1
    assert found["pointing_game"].value == 1
    assert found["box_ious"].value == pytest.approx(1, abs=0.02)
    assert found["gini"].value == pytest.approx(1 - case.truth.share, abs=0.01)


def test_everywhere_is_worth_the_boxes_share(network):
    case = network.case("tripod.jpg")
    found = measured(network, case, torch.ones_like(case.image[0]), "localization", "faithfulness")
    assert found["energy_pointing_game"].value == pytest.approx(case.truth.share, abs=1e-4)
    assert found["average_drop"].value == pytest.approx(0, abs=1e-5)
    assert found["average_increase"].value == 0


def test_the_pointing_game_forgives_fifteen_pixels_of_the_file_and_not_more(network, annotated):
    case = network.case("tripod.jpg")  # 512 px, of which the network sees 448 in 128: 3.5 pixels of the file are one
    left, top, _, bottom = max(case.truth.boxes.round().int().tolist(), key=lambda box: box[2] - box[0])
    row = (top + bottom) // 2
    for distance, hit in ((3, 1.0), (7, 0.0)):
        saliency = torch.zeros_like(case.image[0])
        saliency[row, left - distance] = 1
        assert measured(network, case, saliency, "localization")["pointing_game"].value == hit, distance


def test_a_mask_outside_of_the_crop_is_no_overlap_of_0(network):
    case = network.case("cat.jpg")
    hidden = replace(case, truth=replace(case.truth, mask=torch.zeros_like(case.truth.inside)))
    value = measured(network, hidden, torch.rand(case.image.shape[1:]), "localization")["mask_ious"]
    assert value.value is None
    assert "no pixel of the image's mask is inside" in value.failure


def test_a_box_outside_of_the_image_fails_with_its_reason_and_leaves_the_other_groups(network):
    image = replace(network.images[0], boxes=((9000, 0, 9100, 50),))
    case = network.cases(image)
    with pytest.raises(InputError, match="the box 9000, 0, 9100, 50 lies outside of the image"):
        measured(network, case, torch.rand(case.image.shape[1:]), "localization")
    assert measured(network, case, torch.rand(case.image.shape[1:]), "complexity")["gini"].value > 0


def test_curves_start_and_end_with_the_images_they_lie_between(network):
    case = network.case("coffee.jpg")
    found = measured(network, case, torch.rand_like(case.image[0]), "faithfulness")
    assert found["deletion_zero"].curve[0] == pytest.approx(float(case.before), abs=1e-5)
    assert found["insertion_wide"].curve[-1] == pytest.approx(float(case.before), abs=1e-5)
    blank = float(case.score(torch.zeros_like(case.image).unsqueeze(0))[0])
    assert found["deletion_zero"].curve[-1] == pytest.approx(blank, abs=1e-5)


def test_what_asks_the_method_again_does(network):
    case = network.case("coffee.jpg")
    grad = network.explainer("gradcam")(case.image.unsqueeze(0), case.target).saliency[0, 0]
    centre = network.explainer("centre")(case.image.unsqueeze(0), case.target).saliency[0, 0]
    before = {name: tensor.clone() for name, tensor in network.net.model.state_dict().items()}
    of_gradcam = measured(network, case, grad, "robustness", "sanity", method="gradcam")
    of_centre = measured(network, case, centre, "robustness", "sanity", method="centre")
    assert of_centre["max_sensitivity"].value == 0
    assert of_centre["randomization_rank_correlation"].value == pytest.approx(1)
    assert of_gradcam["max_sensitivity"].value > 0
    assert of_gradcam["randomization_rank_correlation"].value < 0.9
    assert len(of_gradcam["randomization_rank_correlation"].curve) == 5
    assert all(torch.equal(before[name], tensor) for name, tensor in network.net.model.state_dict().items())


def test_every_value_has_its_protocol(network):
    case = network.case("cat.jpg")
    found = measured(network, case, torch.rand_like(case.image[0]), "faithfulness", "road", "localization")
    for metric, value in found.items():
        assert value.protocol, metric
    assert found["deletion_mean"].protocol["fill"] == "mean"
    assert found["road"].protocol["imputation"] == "noisy linear"


@pytest.mark.parametrize("name", METHODS)
def test_every_method_of_the_table_can_be_made_and_tells_its_cost(network, name):
    explainer = make_explainer(name, network.net, batch_size=4)
    cost = explainer.cost(2)
    assert set(cost) == {"forward", "backward"}
    assert cost["forward"] >= 2
