"""The user's defaults for new tensors change no map, and are as before afterwards."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest
import torch
from tests.small import network, photos
from torch import Tensor, nn

from maskstack.defaults import usual_defaults
from maskstack.explainers.table import METHODS, make_explainer
from maskstack.scoring.predict import class_probabilities, network_output

SHORT = {
    "rise": "rise:masks=16", "lime": "lime:samples=10", "kernelshap": "kernelshap:samples=10", "mdm": "mdm:steps=2",
    "hdm": "hdm:benchmark=2:auxiliary=4:steps=2", "extremal": "extremal:steps=3", "ig": "ig:steps=3",
    "smoothgrad": "smoothgrad:samples=3", "gradientshap": "gradientshap:samples=3",
}  # fmt: skip


@contextlib.contextmanager
def other_defaults(kind: str) -> Iterator[None]:
    """Defaults that a user may have set."""
    try:
        if kind == "float64":
            torch.set_default_dtype(torch.float64)
        elif kind == "meta":
            torch.set_default_device("meta")
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == "autocast"):
            yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)


@pytest.mark.parametrize("name", [name for name in METHODS if not name.startswith("mdm-")])
def test_a_map_is_the_same(name) -> None:
    net, images = network().eval(), photos(1, (24, 24))
    if not name.startswith(("mdm", "hdm")):
        pytest.importorskip("captum", reason="the extra 'rivals' is not installed")
    usual = make_explainer(SHORT.get(name, name), net)(images, 1).saliency
    for kind in ("float64", "meta", "autocast"):
        with other_defaults(kind):
            found = make_explainer(SHORT.get(name, name), net)(images, 1).saliency
            assert torch.get_default_dtype() == (torch.float64 if kind == "float64" else torch.float32)
            assert torch.empty(0).device.type == ("meta" if kind == "meta" else "cpu")
            assert torch.is_autocast_enabled("cpu") == (kind == "autocast")
        assert torch.equal(found, usual), kind


class New(nn.Module):
    """It makes a tensor of the default type and on the default device."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images + torch.zeros(1))


@pytest.mark.parametrize("kind", ["float64", "meta"])
def test_what_a_network_predicts_is_the_same(kind: str) -> None:
    net, images = New().eval(), photos(1, (24, 24))
    usual = class_probabilities(net, images), network_output(net, images)
    with other_defaults(kind):
        found = class_probabilities(net, images), network_output(net, images)
    for one, other in zip(found, usual, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", ["float64", "meta"])
def test_the_cost_of_a_method_that_counts_channels_is_the_same(kind: str) -> None:
    pytest.importorskip("pytorch_grad_cam", reason="the extra 'rivals' is not installed")
    usual, again = (make_explainer("scorecam", New().eval()) for _ in range(2))
    with other_defaults(kind):
        found = again.cost(1, size=(24, 24))
    assert found == usual.cost(1, size=(24, 24))


def test_the_default_comes_back_after_the_last_of_several_threads() -> None:
    inside, leave = threading.Barrier(4), threading.Event()

    def use() -> None:
        with usual_defaults():
            inside.wait(timeout=30)
            assert torch.get_default_dtype() == torch.float32
            leave.wait(timeout=30)

    with other_defaults("float64"):
        threads = [threading.Thread(target=use) for _ in range(3)]
        for thread in threads:
            thread.start()
        inside.wait(timeout=30)
        leave.set()
        for thread in threads:
            thread.join()
        assert torch.get_default_dtype() == torch.float64
