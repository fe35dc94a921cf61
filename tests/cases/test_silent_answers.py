"""What was once explained wrongly without a word is right, or is one true sentence."""

import dataclasses
import functools

import numpy as np
import pytest
import torch
from PIL import Image
from tests.cases.nets import IMAGES, explain, net, then
from torch import Tensor, nn
from torch.nn import functional

from maskstack import MaskstackError, ModelError, objectives, with_arguments
from maskstack.models import open_photo, said_of

SHARES = net(5)(IMAGES).softmax(1).detach().amax(1)
SIGMOIDS = net(5)(IMAGES).sigmoid().detach().amax(1)


@dataclasses.dataclass
class Answer:
    logits: Tensor
    hidden: Tensor


class Rated(nn.Module):
    def forward(self, images: Tensor) -> Answer:
        return Answer(net(5)(images), images.mean((2, 3)))


def traced(model: nn.Module) -> nn.Module:
    return torch.jit.trace(model, IMAGES)


OF_CLASSES = {
    "a last Softmax": (lambda: net(5, nn.Softmax(1)), SHARES, "probabilities"),
    "a last Softmax over dimension -1": (lambda: net(5, nn.Softmax(-1)), SHARES, "probabilities"),
    "a Softmax2d": (
        lambda: nn.Sequential(net(5), nn.Unflatten(1, (5, 1, 1)), nn.Softmax2d()), SHARES, "probabilities"),
    "the exponential of a log-softmax": (lambda: then(lambda x, m: m(x).log_softmax(1).exp()), SHARES, "prob"),
    "a log-softmax": (lambda: net(5, nn.LogSoftmax(1)), SHARES, "log-probabilities"),
    "the logarithm of a softmax": (lambda: then(lambda x, m: m(x).softmax(1).log()), SHARES, "log-probabilities"),
    "a last Sigmoid": (lambda: net(5, nn.Sigmoid()), SIGMOIDS, "independent probabilities"),
    "a clamped sigmoid": (lambda: then(lambda x, m: m(x).sigmoid().clamp(1e-6, 1)), SIGMOIDS, "independent prob"),
    "the mean of two sigmoids": (
        lambda: then(lambda x, m: torch.stack([m(x).sigmoid()] * 2).mean(0)), SIGMOIDS, "independent prob"),
    "a weighted sum of sigmoids": (
        lambda: then(lambda x, m: 0.3 * m(x).sigmoid() + 0.7 * m(x).sigmoid()), SIGMOIDS, "independent prob"),
    "a log-sigmoid": (lambda: net(5, nn.LogSigmoid()), SIGMOIDS, "log-probabilities"),
    "a traced softmax": (lambda: traced(net(5, nn.Softmax(1))), SHARES, "probabilities"),
    "a data class": (Rated, SHARES, "logits"),
    "a loss, then logits": (lambda: then(lambda x, m: (m(x).mean(), m(x))), SHARES, "logits"),
    "None, then logits": (lambda: then(lambda x, m: (None, {"logits": m(x)})), SHARES, "logits"),
    "one tensor far inside": (lambda: then(lambda x, m: {"a": {"b": [m(x)]}}), SHARES, "logits"),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_CLASSES)
def test_scores_are_the_networks_own(name: str) -> None:
    make, expected, words = OF_CLASSES[name]
    found = explain(make())
    torch.testing.assert_close(found.score_before, expected, atol=1e-4, rtol=1e-3)
    assert found.output.startswith(words)


def test_a_softmax_without_its_background_keeps_its_probabilities() -> None:
    found = explain(then(lambda x, m: m(x).softmax(1)[:, 1:]))
    torch.testing.assert_close(found.score_before, net(5)(IMAGES).softmax(1)[:, 1:].amax(1).detach())
    assert "do not sum to 1" in found.output_doubt


NUMBERS = {
    "an age": lambda x, m: 50 + 20 * m(x).tanh(),
    "large": lambda x, m: 5000 + 1000 * m(x),
    "negative": lambda x, m: m(x) - 300,
    "an expected age": lambda x, m: (functional.pad(m(x), (0, 100)).softmax(1) * torch.arange(101.0)).sum(1),
    "stars": lambda x, m: 1 + 4 * m(x).sigmoid(),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_regression_is_its_number(name: str) -> None:
    model = then(NUMBERS[name], 1)
    found = explain(model)
    assert (found.objective, found.target) == ("number", None)
    torch.testing.assert_close(found.score_before, model(IMAGES).flatten().detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("after", [(), (nn.Sigmoid(),), (nn.Flatten(0),)], ids=["logit", "probability", "B"])
def test_one_output_has_two_classes(after) -> None:
    model, share = net(1, *after), net(1)(IMAGES).sigmoid().detach()[:, 0]
    torch.testing.assert_close(explain(model, target=0).score_before, 1 - share)
    torch.testing.assert_close(explain(model, target=1).score_before, share)
    assert explain(model).target == tuple((share > 0.5).long().tolist())


SAID = {
    "percentages": (lambda: then(lambda x, m: 100 * m(x).softmax(1)), "sums to 100"),
    "a softmax over the images": (lambda: net(5, nn.Softmax(0)), "over the images of the batch"),
    "an embedding": (lambda: nn.Sequential(net(64), nn.LayerNorm(64)), "an embedding of 64 values"),
    "a unit vector": (lambda: then(lambda x, m: functional.normalize(m(x)), 16), "an embedding of 16 values"),
    "a feature map, then logits": (lambda: then(lambda x, m: (x, m(x))), "another output, such as output=1"),
    "stages": (lambda: then(lambda x, m: [x, x]), r"a map of 3 x 24 x 24 \(output 0 of 2: 0, 1\)"),
    "squeezed away": (lambda: then(lambda x, m: m(x).sum(0)), "keep the batch dimension"),
    "complex numbers": (lambda: then(lambda x, m: torch.complex(m(x), m(x))), "output is complex"),
    "a sparse tensor": (lambda: then(lambda x, m: m(x).to_sparse()), "to_dense"),
    "no classes": (lambda: then(lambda x, m: m(x)[:, :0]), "holds no values"),
    "NumPy": (lambda: then(lambda x, m: m(x).detach().numpy()), "holds no tensor; return the tensor itself"),
    "nothing": (lambda: then(lambda x, m: None), "returned None, which holds no tensor"),
    "detections": (lambda: lambda x: [{"boxes": torch.zeros(0, 4), "scores": x[0, 0, 0]}] * 2, "box_score"),
}


@pytest.mark.parametrize("name", SAID)
def test_what_has_no_classes_is_said(name: str) -> None:
    make, sentence = SAID[name]
    with pytest.raises(ModelError, match=sentence):
        explain(make())


def test_a_function_that_encodes_gives_an_embedding() -> None:
    def encode_image(images: Tensor) -> Tensor:
        return net(512)(images)

    for model in (encode_image, functools.partial(encode_image)):
        with pytest.raises(ModelError, match="an embedding of 512 values"):
            explain(model)
    assert "may also be an embedding" in explain(net(512)).output_doubt
    own = net(512)(IMAGES).detach()
    torch.testing.assert_close(explain(encode_image, target=objectives.cosine(own)).score_before, torch.ones(2))


DOUBTS = {
    "landmarks in pixels": (lambda: then(lambda x, m: 224 * m(x).sigmoid(), 10), "numbers of a regression"),
    "costs": (lambda: then(lambda x, m: -m(x).log_softmax(1)), "negative logarithms of probabilities"),
    "one linear output": (lambda: net(1), "output=number"),
    "two heads": (lambda: then(lambda x, m: [m(x), m(x)]), "several outputs, of which 0 is explained"),
    "a few values from 0 to 1": (lambda: traced(net(3, nn.Sigmoid())), "output=independent_probabilities"),
}


@pytest.mark.parametrize("name", DOUBTS)
def test_what_is_not_certain_is_said(name: str) -> None:
    make, words = DOUBTS[name]
    assert words in explain(make()).output_doubt


TABLE = torch.tensor([[1.0, 0, 0, 0, 0], [0, 0, 0, 0, 9]])


def test_rows_follow_their_images() -> None:
    model = then(lambda x, m, rows: m(x) + rows)
    together = explain(with_arguments(model, TABLE), target=4)
    alone = [explain(with_arguments(model, TABLE[i : i + 1]), IMAGES[i : i + 1], 4) for i in range(2)]
    torch.testing.assert_close(together.score_before, torch.cat([each.score_before for each in alone]))
    torch.testing.assert_close(together.saliency, torch.cat([each.saliency for each in alone]), atol=1e-4, rtol=0)


NET = net()
CLOSURES = {
    "a tensor": lambda x: NET(x) + TABLE,
    "a list": lambda x, rows=(0.0, 9.0): torch.stack([NET(i[None])[0] * r for i, r in zip(x, rows, strict=False)]),
    "an object": type("Held", (), {"rows": TABLE, "__call__": lambda self, x: NET(x) + self.rows})(),
}


@pytest.mark.parametrize("name", CLOSURES)
def test_rows_that_a_function_holds_are_an_error_at_the_first_pass(name: str) -> None:
    with pytest.raises(MaskstackError, match=r"with_arguments\(model, rows\)"):
        explain(CLOSURES[name])


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("kind", ["png", "tif"])
def test_deep_grey_values_fill_the_range(bits: int, kind: str, tmp_path) -> None:
    ramp = np.linspace(0, 2**bits - 1, 400).reshape(20, 20).round().astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / f"x-ray.{kind}")
    photo = open_photo(tmp_path / f"x-ray.{kind}")
    assert np.asarray(photo).max() == 255
    assert said_of(photo).startswith(f"values of {bits} bits")


def test_a_palette_with_transparency_is_shown_on_white(tmp_path) -> None:
    picture = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    picture.paste((255, 0, 0, 255), (4, 4, 12, 12))
    picture.quantize().save(tmp_path / "logo.png")
    shown = np.asarray(open_photo(tmp_path / "logo.png"))
    assert shown[0, 0].tolist() == [255, 255, 255]
    assert shown[8, 8].tolist() == [255, 0, 0]


def test_a_page_is_named_and_chosen(tmp_path) -> None:
    pages = [Image.new("L", (16, 16), level) for level in (10, 200)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    assert "page 0 of pages 0 to 1" in said_of(open_photo(tmp_path / "pages.tif"))
    assert np.asarray(open_photo(tmp_path / "pages.tif", page=1))[0, 0, 0] == 200


@pytest.mark.parametrize("name", ["MobileViT", "Levit", "CLIP"])
def test_hugging_faces_own_preprocessing(name: str) -> None:
    transformers = pytest.importorskip("transformers", reason="the extra 'models' is not installed")
    from maskstack.models.from_hf import hf_preprocess
    from maskstack.models.spec import parse_spec

    processor = getattr(transformers, f"{name}ImageProcessor")()
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (260, 300, 3), dtype=np.uint8))
    theirs = processor(images=photo, return_tensors="pt")["pixel_values"][0]
    assert float((hf_preprocess(parse_spec("hf:x"), processor)(photo) - theirs).abs().mean()) < 1e-3
