"""The tensor is found in outputs of all kinds; otherwise the error names the type."""

from collections import OrderedDict, namedtuple
from types import SimpleNamespace

import pytest
import torch

from maskstack.errors import ModelError
from maskstack.objectives import class_probability, recognise
from maskstack.objectives.outputs import LOGIT_KEYS, find_tensor

ANSWER, OTHER = torch.zeros(2, 5), torch.ones(2, 7)
Heads = namedtuple("Heads", ["logits", "aux_logits"])
Pair = namedtuple("Pair", ["scores", "features"])


@pytest.mark.parametrize(
    "output",
    [
        ANSWER,
        (ANSWER, OTHER),
        [ANSWER, OTHER],
        Heads(ANSWER, OTHER),
        Heads(aux_logits=OTHER, logits=ANSWER),
        Pair(ANSWER, OTHER),
        SimpleNamespace(logits=ANSWER, hidden_states=(OTHER,)),
        SimpleNamespace(logits=ANSWER, loss=None),
        {"scores": ANSWER},
        {"scores": ANSWER, "names": ["cat"]},
        OrderedDict(aux=OTHER, out=ANSWER),
        ((ANSWER, OTHER), OTHER),
        [{"aux": OTHER, "logits": ANSWER}],
        (SimpleNamespace(logits=ANSWER), OTHER),
    ],
    ids=lambda output: type(output).__name__,
)
def test_finds_the_answer(output) -> None:
    assert find_tensor(output) is ANSWER


@pytest.mark.parametrize("key", LOGIT_KEYS)
def test_a_mappings_answer_is_known_by_its_key(key: str) -> None:
    assert find_tensor({"first": OTHER, key: ANSWER, "last": OTHER}) is ANSWER


def test_logits_come_before_other_known_keys() -> None:
    assert find_tensor({"pred": OTHER, "out": OTHER, "logits": ANSWER}) is ANSWER


def test_real_hugging_face_and_torchvision_outputs() -> None:
    outputs = pytest.importorskip("transformers.modeling_outputs", reason="the extra 'models' is not installed")
    inception = pytest.importorskip("torchvision.models.inception", reason="the extra 'models' is not installed")
    assert find_tensor(outputs.ImageClassifierOutput(logits=ANSWER, hidden_states=(OTHER,))) is ANSWER
    assert find_tensor(inception.InceptionOutputs(ANSWER, OTHER)) is ANSWER
    with pytest.raises(ModelError, match="BaseModelOutputWithPooling with keys last_hidden_state, pooler_output"):
        find_tensor(outputs.BaseModelOutputWithPooling(last_hidden_state=ANSWER, pooler_output=OTHER))


@pytest.mark.parametrize(
    ("output", "named"),
    [
        ("a cat", "a str"),
        (None, "None"),
        (3.5, "a float"),
        (ANSWER.numpy(), "an ndarray"),
        ((), "an empty tuple"),
        ([], "an empty list"),
        (["cat", 3], "a list of str, int"),
        ({"boxes": ANSWER, "scores": OTHER}, "a dict with keys boxes, scores"),
        (SimpleNamespace(logits="no tensor"), "a SimpleNamespace"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_anything_else_is_refused_with_its_type_and_the_way_out(output, named: str) -> None:
    way_out = r"in which .* objectives\.custom|which holds no tensor; return the tensor itself"
    with pytest.raises(ModelError, match=rf"returned {named}, ({way_out})"):
        find_tensor(output)


def test_detections_of_each_image_name_the_objective_for_boxes() -> None:
    with pytest.raises(ModelError, match=r"returned detections, .* objectives\.box_score"):
        find_tensor([{"boxes": ANSWER, "scores": OTHER}])


def test_classes_beside_predicted_boxes_name_the_objective_for_boxes() -> None:
    output = {"logits": torch.randn(2, 5, 4), "pred_boxes": torch.rand(2, 5, 4)}
    reading = recognise([output])
    with pytest.raises(ModelError, match=r"detections; explain one of its boxes with objectives\.box_score"):
        class_probability(1).bind(output, 2, reading)
