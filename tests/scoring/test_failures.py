"""Whatever comes out of a user's network is one sentence with the cause and the remedy, and the original behind it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.small import network, photos
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from maskstack import MDM, ModelError, objectives
from maskstack.explainers.table import make_explainer

QUICK = {"sizes": 2, "steps": 4}


class Net(nn.Module):
    """A working network, to be changed by a case."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, images: Tensor) -> Any:
        return self.net(images)


class InPlace(Net):
    def forward(self, images: Tensor) -> Tensor:
        scores = self.net(images).sigmoid()
        scores[:, :2] *= 2  # as in the heads of some detectors
        return scores


class Constant(Net):
    def __init__(self) -> None:
        super().__init__()
        with torch.inference_mode():
            self.scale = torch.full((5,), 2.0)

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images) * self.scale


class Checkpointed(Net):
    def forward(self, images: Tensor) -> Tensor:
        return checkpoint(self.net, images, use_reentrant=True)


class TwoInputs(Net):
    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        return self.net(images) * mask


class ReadsNone(Net):
    def forward(self, images: Tensor, input_ids: Tensor | None = None) -> Tensor:
        return self.net(images) * input_ids.shape[0]


class FixedBatch(Net):
    def forward(self, images: Tensor) -> Tensor:
        return self.net(images.reshape(3, 3, 32, 40))


class MixedTypes(Net):
    def forward(self, images: Tensor) -> Tensor:
        return self.net(images) @ torch.ones(5, 5, dtype=torch.float64)


class Late(Net):
    """Fails in a later pass, with an error of its own."""

    def __init__(self, error: Exception, at: int = 9) -> None:
        super().__init__()
        self.error, self.passes, self.at = error, 0, at

    def forward(self, images: Tensor) -> Tensor:
        self.passes += 1
        if self.passes >= self.at:
            raise self.error
        return self.net(images)


class Backward(Net):
    """Fails backward only."""

    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(_context: Any, values: Tensor) -> Tensor:
            return values.clone()

        @staticmethod
        def backward(context: Any, gradient: Tensor) -> Tensor:
            raise NotImplementedError("no derivative is written")

    def forward(self, images: Tensor) -> Tensor:
        return self.Fails.apply(self.net(images))


class OneSize(Net):
    def forward(self, images: Tensor) -> Tensor:
        assert images.shape[-1] == 224, f"Input image size ({images.shape[-1]}) doesn't match model (224)"
        return self.net(images)


class FixedToOne(Net):
    def forward(self, images: Tensor) -> Tensor:
        return self.net(images.reshape(1, 3, 32, 40))


CASES: dict[str, tuple[Callable[[], Any], dict[str, Any], str]] = {
    "float64 images": (Net, {"dtype": torch.float64}, r"images are float64 but .*float32; give images.float"),
    "half weights": (lambda: Net().half(), {}, r"images are float32 but .*float16; give images.to"),
    "mixed inside": (MixedTypes, {}, r"mixes data types inside"),
    "in place": (InPlace, {}, r"in place that the gradient needs; write the operation out of place"),
    "inference constant": (Constant, {}, r"inference_mode\(\), which forbids gradients"),
    "checkpointing": (Checkpointed, {}, r"re-entrant checkpointing.*use_reentrant=False"),
    "missing argument": (TwoInputs, {}, r"argument 'mask' is missing; give it with maskstack.with_arguments"),
    "reads None": (ReadsNone, {}, r"reads something that is None, often an input that was not given"),
    "fixed batch": (FixedBatch, {}, r"cannot reshape its values for images of shape 1 x 3 x 32 x 40"),
    "exported for two": (
        lambda: torch.export.export(Net(), (photos(2, (32, 40)),)).module(), {},
        r"exported for exactly 2 images in a pass.*with a dynamic batch size",
    ),
    "exported for another size": (
        lambda: torch.export.export(Net(), (photos(1, (40, 40)),)).module(), {},
        r"does not take images of shape 1 x 3 x 32 x 40",
    ),
    "channels": (Net, {"channels": 4}, r"takes images of 3 channels, but these have 4"),
    "one size": (OneSize, {}, r"does not take images of shape 1 x 3 x 32 x 40; give images of the size and channels"),
    "backward": (Backward, {}, r"backward pass failed.*no derivative is written"),
    "late": (lambda: Late(KeyError("layer9")), {}, r"failed on images of shape .* though it took .*KeyError: 'layer9'"),
    "late, empty": (lambda: Late(ZeroDivisionError()), {}, r"failed on images of shape .*\(ZeroDivisionError\)"),
    "first": (lambda: Late(IndexError("boom\nline 2"), at=1), {}, r"failed on images of shape .*IndexError: boom\)"),
    "no forward": (nn.Module, {}, r"has no forward\(\)"),
    "devices": (
        lambda: (lambda net: lambda images: net(images) + torch.ones(5, device="meta"))(network()), {},
        r"meta device|several devices",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_cause_and_the_remedy_are_named(case: str) -> None:
    make, given, says = CASES[case]
    images = photos(1, (32, 40))
    images = images.to(given.get("dtype", torch.float32))
    images = images.repeat(1, 2, 1, 1)[:, : given.get("channels", 3)]
    with pytest.raises(ModelError, match=says) as caught:
        MDM(make(), **QUICK)(images, 1)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.__cause__ is not None
    assert not isinstance(caught.value.__cause__, ModelError)
    if case not in ("one size", "exported for another size"):
        assert "preprocessing makes" not in text


@pytest.mark.parametrize(
    "method", ["smoothgrad", "ig", "gradcam", "extremal:steps=2", "hdm:benchmark=2:auxiliary=3:steps=2"]
)
@pytest.mark.parametrize("case", ["in place", "inference constant", "checkpointing", "backward"])
def test_other_methods_say_the_same(method: str, case: str) -> None:
    make, _, says = CASES[case]
    with pytest.raises(ModelError, match=says + "|no gradient") as caught:
        make_explainer(method, make())(photos(1, (32, 40)), 1)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_network_for_one_image_at_a_time_is_run_so() -> None:
    images = photos(3, (32, 40))
    one_by_one, plain = (MDM(net, **QUICK, speed="plain")(images, 1) for net in (FixedToOne(), Net()))
    torch.testing.assert_close(one_by_one.saliency, plain.saliency, atol=1e-3, rtol=1e-3)


def test_an_objective_that_fails_is_named() -> None:
    def third(output: Tensor) -> Tensor:
        return output["third"]

    with pytest.raises(ModelError, match=r"objective third failed on the network's output.*check what") as caught:
        MDM(Net(), **QUICK)(photos(1), third)
    assert caught.value.__cause__ is not None
    with pytest.raises(ModelError, match="the objective custom failed"):
        MDM(Net(), **QUICK)(photos(1), objectives.custom(lambda output: output.boxes))


def test_errors_of_the_progress_callback_are_its_own() -> None:
    def progress(_state: Any) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        MDM(Net(), **QUICK)(photos(1), 1, progress=progress)


def test_two_tower_networks_called_with_images_only() -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.CLIPConfig(
        text_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
        vision_config={
            "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "image_size": 32, "patch_size": 8,
        },
        projection_dim=8,
    )  # fmt: skip
    clip = transformers.CLIPModel(config)
    with pytest.raises(ModelError, match=r"get_image_features|with_arguments") as caught:
        MDM(lambda images: clip(pixel_values=images).logits_per_image, **QUICK)(photos(1, (32, 32)))
    assert "\n" not in str(caught.value)
    assert clip.training is False or all(module.training for module in clip.modules())
