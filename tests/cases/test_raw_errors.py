"""Errors of the first gradient, or of the hundredth pass, are one sentence too; the original is their cause."""

import pytest
import torch
from tests.cases.nets import IMAGES, Then, explain, net, then
from torch.utils.checkpoint import checkpoint

from maskstack import MDMCAM, ModelError


def constant() -> Then:
    with torch.inference_mode():
        scale = torch.full((5,), 2.0)
    return then(lambda x, m: m(x) * scale)


class Late:
    """Fails in a later pass."""

    def __init__(self, error: Exception) -> None:
        self.net, self.error, self.passes = net(), error, 0

    def __call__(self, images):
        self.passes += 1
        if self.passes > 9:
            raise self.error
        return self.net(images)


def on_meta():
    model = net()
    model[4].to("meta")
    return model


CASES = {
    "re-entrant checkpointing": (
        lambda: then(lambda x, m: checkpoint(m, x, use_reentrant=True)), "pass use_reentrant=False"),
    "a constant of inference mode": (constant, r"a constant that it uses, were made under torch\.inference_mode\(\)"),
    "a sigmoid changed in place": (lambda: then(lambda x, m: m(x).sigmoid().mul_(2)), "changes a tensor in place"),
    "a ReLU in place after a sigmoid": (lambda: then(lambda x, m: m(x).sigmoid().relu_() * 1), "inplace=False"),
    "slices changed in place": (lambda: then(lambda x, m: _slices(m(x).sigmoid())), "changes a tensor in place"),
    "all of it on the meta device": (lambda: net().to("meta"), "the network is on the meta device"),
    "a part on the meta device": (on_meta, "the network is on the meta device"),
    "an input that is None": (
        lambda: then(lambda x, m, input_ids=None: m(x) * input_ids.shape[0]), "reads something that is None"),
    "an assertion": (lambda: then(lambda x, m: _fail(AssertionError())), r"failed on images.*AssertionError\)"),
    "a KeyError": (lambda: then(lambda x, m: m(x) * {}["scale"]), "KeyError: 'scale'"),
    "endless recursion": (lambda: then(lambda x, m: _forever()), "RecursionError"),
    "a late error": (lambda: Late(ValueError("boom\nmore")), r"though it took .* before;.*\(ValueError: boom\)"),
    "a late StopIteration": (lambda: Late(StopIteration()), r"StopIteration\)"),
}  # fmt: skip


def _slices(values):
    values[:, :2] *= 2
    return values


def _fail(error):
    raise error


def _forever():
    return _forever()


@pytest.mark.parametrize("case", CASES)
def test_it_is_one_sentence_with_the_original_as_its_cause(case: str) -> None:
    make, sentence = CASES[case]
    with pytest.raises(ModelError, match=sentence) as caught:
        explain(make(), IMAGES[:1], 1)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None or "meta device" in sentence


def test_class_indices_are_targets_of_the_class_activation_map() -> None:
    assert MDMCAM(net(), sizes=(2, 5), steps=3)(IMAGES[:1], [2]).shape == (1, 24, 24)


@pytest.mark.slow
def test_clip_that_is_called_with_images_only() -> None:
    transformers = pytest.importorskip("transformers", reason="the extra 'models' is not installed")
    small = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={**small, "vocab_size": 20, "max_position_embeddings": 8},
        vision_config={**small, "image_size": 24, "patch_size": 12},
        projection_dim=64,
    )
    model = transformers.CLIPModel(config).eval()
    with pytest.raises(ModelError, match=r"with_arguments\(model, \.\.\.\), or wrap the part that takes only images"):
        explain(lambda images: model(pixel_values=images))
    tower = lambda images: model.get_image_features(pixel_values=images)  # noqa: E731
    named = {} if isinstance(tower(IMAGES), torch.Tensor) else {"output": "pooler_output"}
    with pytest.raises(ModelError, match="an embedding of 64 values"):
        explain(tower, **named)
