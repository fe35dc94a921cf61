"""Each objective is compared with an independent computation; wrong input raises a clear error."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from maskstack import objectives
from maskstack.errors import InputError, ModelError
from maskstack.objectives import Objective

LOGITS = torch.tensor([[1.0, -2.0, 0.5, 3.0], [-4.0, -1.0, -3.0, -2.0], [0.0, 0.0, 0.0, 0.0]])
TARGETS = [2, 0, 3]


def read(objective: Objective, output: object, images: int = 3) -> list[float]:
    return objective.bind(output, images)(output).tolist()


def softmax(row: list[float], target: int) -> float:
    return math.exp(row[target]) / sum(math.exp(value) for value in row)


def best_other(row: list[float], target: int) -> float:
    return max(value for index, value in enumerate(row) if index != target)


WRITTEN_OUT = {
    "logit": (objectives.class_logit, lambda row, t: row[t]),
    "probability": (objectives.class_probability, softmax),
    "log": (objectives.log_probability, lambda row, t: math.log(softmax(row, t))),
    "sigmoid": (
        lambda target: objectives.class_probability(target, activation="sigmoid"),
        lambda row, t: 1 / (1 + math.exp(-row[t])),
    ),
    "log sigmoid": (
        lambda target: objectives.log_probability(target, activation="sigmoid"),
        lambda row, t: -math.log1p(math.exp(-row[t])),
    ),
    "margin": (objectives.margin, lambda row, t: row[t] - best_other(row, t)),
    "contrast": (lambda target: objectives.contrast(target, 1), lambda row, t: row[t] - row[1]),
}


@pytest.mark.parametrize("target", [TARGETS, torch.tensor(TARGETS), tuple(TARGETS), 2, torch.tensor(2)], ids=str)
@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_a_class_objective_is_the_number_written_out(name: str, target) -> None:
    make, written = WRITTEN_OUT[name]
    each = TARGETS if not isinstance(target, int) and torch.as_tensor(target).ndim else [2, 2, 2]
    expected = [written(row, t) for row, t in zip(LOGITS.tolist(), each, strict=True)]
    assert read(make(target), LOGITS) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", objectives.NAMED)
def test_without_a_target_it_is_each_images_predicted_class(name: str) -> None:
    make = objectives.NAMED[name]
    bound = make().bind(LOGITS, 3)
    assert bound.targets == [3, 1, 0]
    assert bound(LOGITS).tolist() == read(make([3, 1, 0]), LOGITS)
    assert bound(-LOGITS).tolist() == read(make([3, 1, 0]), -LOGITS), "a bound class must not follow the output"


@given(st.lists(st.integers(0, 2), min_size=1, max_size=6))
@settings(deadline=None, max_examples=25)
def test_selected_images_keep_their_own_targets(images: list[int]) -> None:
    bound = objectives.class_logit(TARGETS).bind(LOGITS, 3)
    rows = torch.tensor(images)
    assert bound.select(rows)(LOGITS[rows]).tolist() == [LOGITS[i, TARGETS[i]].item() for i in images]


@pytest.mark.parametrize("output", [torch.tensor([[2.0], [-1.0]]), torch.tensor([2.0, -1.0])], ids=["B x 1", "B"])
def test_a_single_output_is_read_through_the_sigmoid(output) -> None:
    positive = [1 / (1 + math.exp(-2)), 1 / (1 + math.exp(1))]
    assert read(objectives.class_probability(1), output, 2) == pytest.approx(positive)
    assert read(objectives.class_probability(0), output, 2) == pytest.approx([1 - p for p in positive])
    assert read(objectives.class_probability(), output, 2) == pytest.approx([positive[0], 1 - positive[1]])
    assert read(objectives.margin(0), output, 2) == pytest.approx([-2.0, 1.0])


def test_half_precision_outputs_are_read_in_float32() -> None:
    output = LOGITS.to(torch.bfloat16)
    values = objectives.log_probability(TARGETS).bind(output, 3)(output)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, objectives.log_probability(TARGETS).bind(LOGITS, 3)(LOGITS))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: objectives.class_logit(4), "target 4 is out of range; the network has classes 0 to 3"),
        (lambda: objectives.class_logit([0, -1, 2]), "target -1 is out of range"),
        (lambda: objectives.contrast(0, 9), "other 9 is out of range; the network has classes 0 to 3"),
        (lambda: objectives.margin([1, 2]), "2 values of target for 3 images; give one, or one per image"),
        (lambda: objectives.class_logit(1.5), "target is 1.5; .* whole numbers"),
        (lambda: objectives.class_logit(True), "target is True"),
        (lambda: objectives.class_logit("cat"), "target is 'cat'; it must be a class index"),
        (lambda: objectives.class_logit([]), "target is \\[\\]"),
        (lambda: objectives.class_logit([[1, 2, 3]]), "one per image"),
        (lambda: objectives.contrast(None, 1), "target is None"),
        (lambda: objectives.class_probability(1, activation="relu"), "activation is 'relu'.*softmax, sigmoid"),
    ],
)  # fmt: skip
def test_wrong_targets_are_named(make, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make().bind(LOGITS, 3)


def test_an_output_other_than_class_scores_is_refused_with_its_shape() -> None:
    with pytest.raises(ModelError, match=r"a map of 4 x 8 x 8, not images x classes; use objectives.region"):
        objectives.class_logit(1).bind(torch.zeros(2, 4, 8, 8), 2)


@pytest.mark.parametrize("result", [LOGITS, LOGITS.sum(), 3.0, None], ids=["B x K", "scalar", "float", "None"])
def test_a_function_without_one_number_per_image_is_refused(result) -> None:
    found = "shape" if isinstance(result, torch.Tensor) else f"a {type(result).__name__}"
    with pytest.raises(ModelError, match=f"the objective mine gave {found}.*one number per image"):
        read(objectives.custom(lambda _output: result, name="mine"), LOGITS)


def test_a_custom_function_sees_the_output_as_it_is() -> None:
    output = {"boxes": LOGITS, "names": ["a", "b", "c"]}
    assert read(objectives.custom(lambda found: found["boxes"][:, 0]), output) == LOGITS[:, 0].tolist()


def test_cosine_is_that_of_scipy() -> None:
    distance = pytest.importorskip("scipy.spatial.distance")
    own = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    expected = [1 - distance.cosine(a, b) for a, b in zip(LOGITS[:2].numpy(), own[:2].numpy(), strict=True)]
    assert read(objectives.cosine(own[:2]), LOGITS[:2], 2) == pytest.approx(expected, abs=1e-6)
    shared = [1 - distance.cosine(a, own[0].numpy()) for a in LOGITS[:2].numpy()]
    assert read(objectives.cosine(own[0]), LOGITS[:2], 2) == pytest.approx(shared, abs=1e-6)
    with pytest.raises(ModelError, match=r"shape \(3, 4\), the embedding has 5 values; they must match"):
        read(objectives.cosine(torch.ones(5)), LOGITS)
    with pytest.raises(InputError, match="embedding must be finite"):
        objectives.cosine(torch.tensor([1.0, torch.nan]))


def test_region_is_the_weighted_mean_of_the_channel() -> None:
    output = torch.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    marked = torch.zeros(2, 4, 5, dtype=torch.bool)
    marked[0, 1, 2] = marked[0, 3, 4] = marked[1, 0, 0] = True
    expected = [(output[0, 1, 1, 2].item() + output[0, 1, 3, 4].item()) / 2, output[1, 1, 0, 0].item()]
    assert read(objectives.region(marked, 1), output, 2) == expected
    weights = torch.tensor([[1.0, 3.0], [0.0, 0.0]])
    assert read(objectives.region(weights, 0), torch.tensor([[[[2.0, 4.0], [9.0, 9.0]]]]), 1) == [(2 + 12) / 4]


@pytest.mark.parametrize("mask", [torch.zeros(4, 5), torch.ones(5), torch.full((4, 5), torch.nan)])
def test_a_region_that_marks_nothing_is_refused(mask) -> None:
    with pytest.raises(InputError, match="h x w or B x h x w and mark at least one pixel"):
        objectives.region(mask, 0)


def test_a_region_that_does_not_fit_the_output_is_refused() -> None:
    output = torch.zeros(1, 3, 8, 8)
    with pytest.raises(InputError, match=r"mask is \(4, 5\) and the network's output \(1, 3, 8, 8\)"):
        read(objectives.region(torch.ones(4, 5), 0), output, 1)
    with pytest.raises(InputError, match="channel 3 is out of range; the output has channels 0 to 2"):
        read(objectives.region(torch.ones(8, 8), 3), output, 1)


CORNERS = st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(1, 9), st.integers(1, 9))


@given(st.lists(st.tuples(CORNERS, st.floats(0, 1, width=32)), min_size=1, max_size=5), CORNERS)
@settings(deadline=None, max_examples=50)
def test_box_score_is_the_best_overlap_times_score(found, box) -> None:
    boxes = torch.tensor([[x, y, x + w, y + h] for (x, y, w, h), _score in found], dtype=torch.float32)
    scores = torch.tensor([score for _box, score in found])
    x, y, w, h = box
    wanted = torch.tensor([[x, y, x + w, y + h]], dtype=torch.float32)
    objective = objectives.box_score(wanted, lambda output: (output["boxes"], output["scores"]))
    expected = (box_iou(boxes, wanted)[:, 0] * scores).max().item()
    output = {"boxes": boxes[None], "scores": scores[None]}
    assert read(objective, output, 1) == pytest.approx([expected], abs=1e-6)


def test_box_score_without_any_detection_is_zero() -> None:
    objective = objectives.box_score((0, 0, 4, 4), lambda output: output)
    assert read(objective, (torch.zeros(2, 0, 4), torch.zeros(2, 0)), 2) == [0, 0]


@pytest.mark.parametrize(
    "box", [(0, 0, 4), (4, 0, 4, 4), (0, 5, 4, 4), (0, 0, math.nan, 4), "box", torch.ones(1, 1, 4)]
)
def test_a_wrong_box_is_refused(box) -> None:
    with pytest.raises(InputError, match="a box is x1 y1 x2 y2 with x1 < x2 and y1 < y2"):
        objectives.box_score(box, lambda output: output)
