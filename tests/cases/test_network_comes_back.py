"""The network comes back as it was, however it was reached, and its own random numbers come from the seed."""

import functools
import random
import sys
import types
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from tests.cases.nets import IMAGES, explain, net
from torch import Tensor, nn
from torch.nn import functional

from maskstack import ModelError


class Encoder(nn.Module):
    """In training mode, with a batch norm and dropout."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1),
            nn.Flatten(), nn.Linear(8, 5),
        )  # fmt: skip
        self.register_buffer("calls", torch.zeros(1))
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images)

    def encode_image(self, images: Tensor) -> Tensor:
        self.calls += 1  # a buffer that the forward pass changes
        return self.body(images)


class OfClass:
    encoder: Any = None

    @classmethod
    def score(cls, images: Tensor) -> Tensor:
        return cls.encoder(images)


class Lazily:
    def __init__(self, inner: nn.Module) -> None:
        self._make = lambda: inner

    @property
    def encoder(self) -> nn.Module:
        return self._make()

    def __call__(self, images: Tensor) -> Tensor:
        return self.encoder(images)


def imported(inner: nn.Module) -> Any:
    sys.modules["tests_cases_registry"] = types.ModuleType("tests_cases_registry")
    sys.modules["tests_cases_registry"].NETWORKS = {"clip": inner}

    def score(images: Tensor) -> Tensor:
        import tests_cases_registry

        return tests_cases_registry.NETWORKS["clip"](images)

    return score


def of_class(inner: nn.Module) -> Any:
    return type("Bound", (OfClass,), {"encoder": inner}).score


def hooked(inner: Encoder) -> nn.Module:
    inner.register_forward_hook(lambda module, given, output: output * 2)
    return inner


def normed(inner: Encoder) -> nn.Module:
    nn.utils.parametrizations.spectral_norm(inner.body[6])
    return inner


def half_frozen(inner: Encoder) -> nn.Module:
    inner.body[0].weight.requires_grad_(False)
    inner.body[1].eval()
    inner(IMAGES).sum().backward()  # gradients of a training step that is not finished
    return inner


WAYS: dict[str, Any] = {
    "the module": lambda inner: inner,
    "a bound method": lambda inner: inner.encode_image,
    "a lambda": lambda inner: lambda images: inner(images),
    "a partial of a method": lambda inner: functools.partial(inner.encode_image),
    "a partial of a function": lambda inner: functools.partial(lambda net, images: net(images), inner),
    "a decorated function": lambda inner: functools.wraps(inner.forward)(lambda images: inner(images)),
    "a default value": lambda inner: lambda images, net=inner: net(images),
    "DataParallel": lambda inner: nn.DataParallel(inner),
    "a dictionary": lambda inner: (lambda nets: lambda images: nets["a"][0](images))({"a": [inner]}),
    "a class method": of_class,
    "a property": Lazily,
    "a module that the function imports": imported,
    "a weak reference": lambda inner: (lambda found: lambda images: found()(images))(weakref.ref(inner)),
    "an averaged model": lambda inner: torch.optim.swa_utils.AveragedModel(inner),
    "symbolic tracing": lambda inner: torch.fx.symbolic_trace(inner),
    "a hook": hooked,
    "spectral norm": normed,
    "half frozen, with gradients": half_frozen,
}


def state(model: nn.Module) -> list[Any]:
    grads = [p.grad if p.grad is None else p.grad.clone() for p in model.parameters()]
    flags = [module.training for module in model.modules()], [p.requires_grad for p in model.parameters()]
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]
    return [{name: value.clone() for name, value in model.state_dict().items()}, grads, *flags, hooks]


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_left_changed_and_the_seed_alone_decides(way: str) -> None:
    inner = Encoder()
    model = WAYS[way](inner)
    before, maps = state(inner), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        drawn = torch.get_rng_state()
        maps.append(explain(model, target=1).saliency)
        assert torch.equal(torch.get_rng_state(), drawn)
    torch.testing.assert_close(state(inner), before, rtol=0, atol=0)
    assert torch.equal(*maps)


class Finder:
    """Looks its network up by a name that it computes."""

    def __call__(self, images: Tensor) -> Tensor:
        return vars(sys.modules["tests_cases_" + "hidden"])["net"](images)


def test_a_network_that_cannot_be_found_is_said() -> None:
    sys.modules["tests_cases_hidden"] = types.ModuleType("tests_cases_hidden")
    inner = sys.modules["tests_cases_hidden"].net = Encoder()
    before = state(inner)
    with pytest.raises(ModelError, match=r"batch norm in training mode runs that could not be found.*call \.eval\(\)"):
        explain(Finder())
    inner.body[1].num_batches_tracked.zero_()  # counted by torch before the statistics, which are as they were
    torch.testing.assert_close(state(inner), before, rtol=0, atol=0)
    inner.eval()
    assert "no module found in the function, so none was protected" in explain(Finder()).passes_run


RANDOM = {
    "dropout that is always on": lambda x: functional.dropout(x, 0.2, training=True),
    "noise": lambda x: x + 0.1 * torch.randn_like(x),
    "NumPy": lambda x: x + float(np.random.rand()),
    "Python": lambda x: x + random.random(),
}


@pytest.mark.parametrize("name", RANDOM)
def test_random_numbers_come_from_the_seed(name: str) -> None:
    inner, draw = net(), RANDOM[name]
    maps = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        maps.append(explain(lambda images: inner(draw(images)), target=1).saliency)
    assert torch.equal(*maps)


def test_weights_of_inference_mode_are_said_and_left() -> None:
    with torch.inference_mode():
        model = Encoder()
    with pytest.raises(ModelError, match=r"made under torch\.inference_mode\(\).*or clone\(\) them"):
        explain(model)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.training


def test_lazy_layers_are_said() -> None:
    with pytest.raises(ModelError, match="lazy layers, whose sizes are not known yet; run it once"):
        explain(nn.Sequential(nn.Flatten(), nn.LazyLinear(3)))


class LimitsItsWeights(nn.Module):
    """Gives its weight other data at each pass, as EEGNet does."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(3, 5)

    def forward(self, images: Tensor) -> Tensor:
        self.head.weight.data = torch.renorm(self.head.weight.data, 2, 0, 0.1)
        return self.head(images.mean((2, 3)))


def test_a_weight_that_got_other_data_comes_back() -> None:
    limited = LimitsItsWeights()
    weight, place, before = limited.head.weight, limited.head.weight.data_ptr(), limited.head.weight.detach().clone()
    explain(limited, target=1)
    assert limited.head.weight is weight
    assert torch.equal(weight, before)
    assert weight.data_ptr() == place
