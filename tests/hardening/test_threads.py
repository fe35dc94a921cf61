"""Several threads on one network, through any wrapper, nested or interrupted: right maps, the network as before."""

from __future__ import annotations

import functools
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tests.hardening.counts import Tally, tries
from tests.scoring.test_network_comes_back import snapshot
from tests.scoring.test_threads import network, together, train
from torch import Tensor, nn

from maskstack import MDM
from maskstack.errors import InputError
from maskstack.explainers.table import make_explainer
from maskstack.interop.grad_cam import MDMCAM
from maskstack.models import Preprocess, loaded
from maskstack.scoring.predict import class_probabilities

METHODS = (
    "mdm:sizes=3:steps=3", "hdm:benchmark=2:auxiliary=4:steps=3", "rise:masks=12:grid=3", "smoothgrad:samples=3",
    "gradcam", "ig:steps=3", "occlusion", "lime:samples=8", "extremal:steps=2",
)  # fmt: skip
SHORT: dict[str, Any] = {"sizes": (3,), "steps": 3}


@dataclass
class Holder:
    """An object that holds a network."""

    net: nn.Module

    def predict(self, images: Tensor) -> Tensor:
        """What the network answers."""
        return self.net(images)


WRAPPERS: dict[str, Callable[[nn.Module], Any]] = {
    "the network": lambda net: net,
    "bound method": lambda net: Holder(net).predict,
    "forward": lambda net: net.forward,
    "closure": lambda net: lambda images: net(images),
    "partial": lambda net: functools.partial(lambda inner, images: inner(images), net),
    "inside another": lambda net: nn.Sequential(net, nn.Identity()),
    "loaded": lambda net: loaded(net, Preprocess(size=(16, 16)), spec="net", weights="net"),
}


class BrokenError(Exception):
    """What a user's code raises."""


Work = Callable[[], Any]


def works(net: nn.Module, images: Tensor) -> dict[str, Work]:
    """All ways to use the network, by name; each gives a tensor, or None if it ends by an error."""
    found: dict[str, Work] = {}
    for method in METHODS:
        for name, wrap in WRAPPERS.items():
            # A layer is found in a module only.
            if method != "gradcam" or name in ("the network", "inside another", "loaded"):
                found[f"{method} of {name}"] = lambda method=method, wrap=wrap: (
                    make_explainer(method, wrap(net))(images, 1).saliency
                )

    def nested() -> Tensor:
        inner = []

        def on_progress(_progress: Any) -> None:
            inner.append(make_explainer("gradcam", net)(images, 1).saliency)
            inner.append(class_probabilities(net, images))

        outer = MDM(net, **SHORT)(images, 1, progress=on_progress).saliency
        return torch.cat([outer.flatten(), *(each.flatten() for each in inner)])

    def ended_by(error: type[BaseException]) -> None:
        def on_progress(_progress: Any) -> None:
            raise error

        with pytest.raises(error):
            MDM(net, **SHORT)(images, 1, progress=on_progress)

    shared = MDM(net, **SHORT)

    def wrong_class() -> None:
        with pytest.raises(InputError):
            shared(images, 77)

    found |= {
        "MDMCAM": lambda: torch.from_numpy(MDMCAM(net, [net[0]], **SHORT)(images)),
        "one explainer": lambda: shared(images, 1).saliency,
        "probabilities": lambda: class_probabilities(net, images),
        "nested": nested,
        "error": lambda: ended_by(BrokenError),
        "Ctrl-C": lambda: ended_by(KeyboardInterrupt),
        "wrong class": wrong_class,
    }
    return found


@pytest.mark.slow
def test_any_uses_at_a_time(tally: Tally) -> None:
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    net = network()
    before = snapshot(net)
    every = works(net, images)
    expected = {}
    for name, work in every.items():
        with tally.trial(f"{name} alone"):
            expected[name] = work()
            assert snapshot(net) == before
    chance = random.Random(0)
    for number in range(tries(12, 150)):
        names = [chance.choice(list(expected)) for _ in range(chance.choice((2, 2, 3, 4)))]
        with tally.trial(f"{number}: {', '.join(names)}"):
            for name, found in zip(names, together([every[name] for name in names]), strict=True):
                right = expected[name]
                assert found is right or torch.equal(found, right), f"{name} gave another map"
            assert snapshot(net) == before, "the network is not as before"


@pytest.mark.slow
def test_any_use_beside_a_training_loop(tally: Tally) -> None:
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    chance = random.Random(1)
    for number in range(tries(4, 50)):
        net = network()
        every = works(net, images)
        names = [chance.choice(list(every)) for _ in range(2)]
        over = threading.Event()

        def use(every: dict[str, Work] = every, names: list[str] = names, over: threading.Event = over) -> None:
            try:
                for name in names:
                    every[name]()
            finally:
                over.set()

        with tally.trial(f"{number}: training beside {', '.join(names)}"):
            _, learned = together([use, lambda net=net, over=over: train(net, over)])
            assert len(learned) - sum(learned) <= len(names) * 3, "training steps are lost"
            assert all(module.training for module in net.modules())
            assert all(each.requires_grad and each.grad is not None for each in net.parameters())
