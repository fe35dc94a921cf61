"""The passes and seconds of an explanation: what a network that counts its own calls saw, on one clock."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from tests.small import network, photos
from torch import Tensor, nn

from maskstack import HDM, MDM
from maskstack.explainers import table
from maskstack.explainers.cam.cam import CAM
from maskstack.explainers.gradients import SmoothGrad
from maskstack.explainers.rise import RISE
from maskstack.scoring import scored_model, session


class Counting(nn.Module):
    """Counts the images of its calls. No hook does it, as a network with hooks is not folded."""

    def __init__(self, seen: list[int], inner: nn.Module) -> None:
        super().__init__()
        # A copy of the network that folds its batch norms counts into the same list.
        self.count = seen.append
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        self.count(len(images))
        return self.inner(images)


class Noisy(nn.Module):
    """Has a batch norm that could be folded, but never gives the same answer twice."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, images: Tensor) -> Tensor:
        return self.inner(images) + torch.randn(1)


class OtherNormForLargeBatches(nn.Module):
    """Takes another way through itself for more than two images."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.other = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 4)

    def forward(self, images: Tensor) -> Tensor:
        norm = self.norm if len(images) <= 2 else self.other
        return self.head(norm(self.conv(images)).relu().mean(dim=(2, 3)))


QUICK_HDM = {"benchmark": (2, 4), "auxiliary": 8, "steps": 6}
METHODS = {
    "mdm": lambda net: MDM(net, sizes=(2, 5), steps=6, batch_size=2),
    "mdm, plain": lambda net: MDM(net, sizes=(2, 5), steps=6, batch_size=2, speed="plain"),
    "mdm, each size alone": lambda net: MDM(net, sizes=(2, 5), steps=6, joint=False, batch_size=4),
    "hdm": lambda net: HDM(net, **QUICK_HDM),
    "hdm, plain": lambda net: HDM(net, **QUICK_HDM, speed="plain"),
    "rise": lambda net: RISE(net, masks=11, grid=4, batch_size=4),
    "smoothgrad": lambda net: SmoothGrad(net, samples=5, batch_size=4),
    "gradcam": lambda net: CAM(net, batch_size=2),
}


@pytest.mark.parametrize("method", METHODS)
def test_forward_passes_are_the_images_that_the_network_saw(method: str) -> None:
    if method == "gradcam":
        pytest.importorskip("pytorch_grad_cam", reason="the extra 'rivals' is not installed")
    seen: list[int] = []
    found = METHODS[method](Counting(seen, network()))(photos(3), [0, 1, 2])
    assert ("folded" in found.passes_run) == (method in ("mdm", "mdm, each size alone", "hdm"))
    assert int(found.forward_passes.sum()) == sum(seen)


@pytest.mark.parametrize("inner", [Noisy, OtherNormForLargeBatches])
def test_passes_of_a_folded_view_that_was_given_up_are_counted(inner: type[nn.Module]) -> None:
    seen: list[int] = []
    found = MDM(Counting(seen, inner()), sizes=(2, 5), steps=6, joint=False, patience=0)(photos(2), 1)
    assert "folded" not in found.passes_run
    assert int(found.forward_passes.sum()) == sum(seen)


OPTIONS = {
    "mdm": {"steps": 2}, "mdm-fast": {"steps": 2}, "mdm-fine": {"steps": 2}, "mdm-paper": {"steps": 2},
    "hdm": {"steps": 2}, "rise": {"masks": 4}, "extremal": {"steps": 2}, "ig": {"steps": 2},
    "smoothgrad": {"samples": 2}, "gradientshap": {"samples": 2}, "lime": {"samples": 9, "segments": 4},
    "kernelshap": {"samples": 9, "segments": 4},
}  # fmt: skip


@pytest.mark.parametrize("name", table.METHODS)
@pytest.mark.slow
def test_seconds_of_every_method_are_those_of_the_scored_models_clock(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("pytorch_grad_cam", "captum", "sklearn", "skimage"):
        pytest.importorskip(package, reason="the extra 'bench' is not installed")
    times = iter([100.0, 107.5])
    # The clock starts before the prediction and is read once more, when all is done.
    for module in (session, scored_model):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: next(times)))
    method = table.METHODS[name]
    found = method.build(network(), **method.fixed, **OPTIONS.get(name, {}))(photos(1), 1)
    assert found.seconds == 7.5
    assert next(times, None) is None
