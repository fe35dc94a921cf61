"""The network comes back as it was: every method, however the network is reached, whatever error comes at any pass."""

import functools
import itertools
import random
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from maskstack import MDM, MaskstackError, with_arguments
from maskstack.explainers.table import METHODS, make_explainer
from maskstack.scoring.reach import reach
from maskstack.scoring.untouched import untouched

OPTIONS = {
    "mdm": "sizes=2:steps=2:members=2", "mdm-fast": "sizes=2:steps=2", "mdm-fine": "sizes=2:steps=2:members=1",
    "mdm-paper": "sizes=2:steps=2", "hdm": "benchmark=2:auxiliary=4:steps=2:modules=2", "ig": "steps=3",
    "smoothgrad": "samples=3", "gradientshap": "samples=3", "occlusion": "window=6:stride=6",
    "lime": "samples=4:segments=3", "kernelshap": "samples=4:segments=3", "rise": "masks=5:grid=2",
    "extremal": "steps=2:cells=2:areas=0.2",
}  # fmt: skip
CAMS = {
    "gradcam", "gradcam++", "xgradcam", "hirescam", "layercam", "eigencam", "scorecam", "ablationcam",
}  # fmt: skip


class Stumbling(nn.Module):
    """A small network in training mode that raises an error from one of its passes on."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 3))
        self.stumbles_at, self.error = 0, RuntimeError
        self.run = SimpleNamespace(passes=0)  # an attribute of the module itself would be restored

    def forward(self, images: Tensor) -> Tensor:
        self.run.passes += 1
        if 0 < self.stumbles_at <= self.run.passes:
            raise self.error("stumbled")
        return self.head(self.features(images))

    def scores(self, images: Tensor) -> Tensor:
        return self(images)


class Holder:
    """An object that is called, and holds the network in a list."""

    def __init__(self, net: nn.Module) -> None:
        self.nets = [net]

    def __call__(self, images: Tensor) -> Tensor:
        return self.nets[0](images)


class Slotted:
    __slots__ = ("net",)

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def __call__(self, images: Tensor) -> Tensor:
        return self.net(images)


class Hidden(nn.Module):
    """A module that holds the network where torch does not look."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.hidden = [net]

    def forward(self, images: Tensor) -> Tensor:
        return self.hidden[0](images)


GLOBAL: dict[str, nn.Module] = {}
NETWORK: nn.Module = nn.Identity()


def by_global(images: Tensor) -> Tensor:
    return NETWORK(images)


def by_helper(images: Tensor) -> Tensor:
    return by_table(images)


def by_table(images: Tensor) -> Tensor:
    return GLOBAL["net"](images)


def decorated(net: nn.Module) -> Callable[[Tensor], Tensor]:
    def plain(images: Tensor) -> Tensor:
        return net(images)

    @functools.wraps(plain)
    def wrapper(*args: Any) -> Tensor:
        return plain(*args)

    return wrapper


def global_function(function: Callable[..., Tensor]) -> Callable[[nn.Module], Any]:
    def wrap(net: nn.Module) -> Any:
        global NETWORK
        NETWORK = GLOBAL["net"] = net
        return function

    return wrap


def by_weak_reference(net: nn.Module) -> Any:
    reference = weakref.ref(net)
    return lambda images: reference()(images)


MODULES: dict[str, Callable[[nn.Module], Any]] = {
    "module": lambda net: net,
    "sequential": lambda net: nn.Sequential(net, nn.Identity()),
}
WRAPPERS: dict[str, Callable[[nn.Module], Any]] = {
    **MODULES,
    "bound method": lambda net: net.scores,
    "lambda": lambda net: lambda images: net(images),
    "partial": lambda net: functools.partial(lambda network, images: network(images), net),
    "keyword partial": lambda net: functools.partial(lambda images, network: network(images), network=net),
    "default": lambda net: lambda images, network=net: network(images),
    "object": Holder,
    "slots": Slotted,
    "hidden": Hidden,
    "decorated": decorated,
    "global": global_function(by_global),
    "helper": global_function(by_helper),
    "weak": by_weak_reference,
    "arguments": lambda net: with_arguments(lambda images, row: net(images) + 0 * row, torch.zeros(2, 1)),
}
FAILURES: list[tuple[type[BaseException] | None, int]] = [
    (None, 0), (RuntimeError, 1), (KeyError, 2), (KeyboardInterrupt, 3), (AttributeError, 5),
]  # fmt: skip
COMBINATIONS = [
    (method, wrapper, error, at)
    for method, wrapper, (error, at) in itertools.product(METHODS, WRAPPERS, FAILURES)
    if method not in CAMS or wrapper in MODULES
]


def network() -> Stumbling:
    torch.manual_seed(0)
    net = Stumbling().train()
    net(torch.rand(4, 3, 12, 12)).sum().backward()
    net.head[3].weight.requires_grad_(False)
    net.features[0].eval()
    net.features[2].register_forward_hook(lambda *_: None)
    return net


def snapshot(net: nn.Module) -> dict[str, Any]:
    """Everything that has to be the same afterwards, by identity and by value."""
    found: dict[str, Any] = {}
    for name, module in net.named_modules():
        found[name] = (id(module), module.training)
        for key, table in vars(module).items():
            if isinstance(table, dict) and (key == "_modules" or "hook" in key):
                found[f"{name} {key}"] = list(table.items())
    for name, tensor in (*net.named_parameters(), *net.named_buffers()):
        gradient = tensor.grad
        values = None if gradient is None else (id(gradient), gradient.numpy().tobytes())
        found[name] = (id(tensor), tensor.requires_grad, tensor.detach().numpy().tobytes(), values)
    found["rng"] = (torch.get_rng_state().numpy().tobytes(), np.random.get_state()[1].tobytes(), random.getstate())
    return found


def error_of(explain: Callable[..., Any], images: Tensor) -> BaseException | None:
    try:
        explain(images, 1)
    except BaseException as error:
        return error
    return None


def test_there_are_at_least_500_combinations() -> None:
    assert len(COMBINATIONS) >= 500


@pytest.mark.parametrize(
    ("method", "as_module"),
    [
        *((method, True) for method in METHODS),
        *(pytest.param(method, False, marks=pytest.mark.slow) for method in METHODS if method not in CAMS),
    ],
)
def test_the_network_comes_back(method: str, as_module: bool) -> None:
    images = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    net = network()
    before = snapshot(net)
    for own, wrapper, error, at in COMBINATIONS:
        if own != method or (wrapper in MODULES) != as_module:
            continue
        net.run.passes, net.stumbles_at, net.error = 0, at, error
        explain = make_explainer(f"{method}:{OPTIONS[method]}" if method in OPTIONS else method, WRAPPERS[wrapper](net))
        what = f"{method} on a network as {wrapper}, {error} at pass {at}"
        raised = error_of(explain, images)
        assert (raised is None) == (not at or net.run.passes < at), what
        if isinstance(raised, MaskstackError):
            assert isinstance(raised.__cause__, error), what
            assert "stumbled" in str(raised), what
            assert "\n" not in str(raised), what
        elif raised is not None:
            assert isinstance(raised, KeyboardInterrupt), what
        assert snapshot(net) == before, what


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_inside_the_network_is_in_evaluation_mode_and_frozen(wrapper: str) -> None:
    net = network()
    wrapped = WRAPPERS[wrapper](net)
    with untouched(getattr(wrapped, "model", wrapped)):
        assert not any(module.training for module in net.modules())
        assert not any(parameter.requires_grad for parameter in net.parameters())
        assert all(parameter.grad is None for parameter in net.parameters())


def test_a_function_without_modules_reaches_its_tensors() -> None:
    weights = torch.rand(3, 3, requires_grad=True)
    found = reach(lambda images: images.mean(dim=(2, 3)) @ weights)
    assert found.modules == []
    assert found.parameters[0] is weights
    explanation = MDM(lambda images: images.mean(dim=(2, 3)) @ weights, sizes=2, steps=2)(torch.rand(1, 3, 8, 8), 0)
    assert weights.requires_grad
    assert weights.grad is None
    assert "no module found" in explanation.passes_run


def test_weights_made_in_inference_mode_come_back() -> None:
    with torch.inference_mode():
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2)).train()
    images = torch.rand(1, 3, 8, 8)
    before = snapshot(net)
    with pytest.raises(MaskstackError, match="inference_mode"):
        MDM(net, sizes=2, steps=2)(images, 0)
    assert snapshot(net) == before
    make_explainer("rise:masks=4:grid=2", net)(images, 0)
    assert snapshot(net) == before


def test_a_network_on_the_meta_device_is_refused() -> None:
    with pytest.raises(MaskstackError, match="meta device"):
        MDM(nn.Sequential(nn.Flatten(), nn.Linear(12, 2, device="meta")), sizes=2)(torch.rand(1, 3, 2, 2))


class AlwaysRandom(nn.Module):
    """Dropout that is always on, or another source of randomness."""

    def __init__(self, source: str, *, from_pass: int = 0) -> None:
        super().__init__()
        self.net, self.source, self.from_pass, self.passes = network(), source, from_pass, 0

    def forward(self, images: Tensor) -> Tensor:
        self.passes += 1
        if self.passes <= self.from_pass:
            return self.net(images)
        if self.source == "numpy":
            images = images * float(np.random.rand() > 0.3)
        elif self.source == "python":
            images = images * random.random()
        else:
            images = nn.functional.dropout(images, 0.3, training=True)
        return self.net(images)


@pytest.mark.parametrize("method", ["mdm", "hdm", "rise", "smoothgrad", "gradcam", "extremal", "ig", "occlusion"])
@pytest.mark.parametrize(
    "source", ["torch", *(pytest.param(each, marks=pytest.mark.slow) for each in ("numpy", "python"))]
)
def test_random_networks_draw_from_the_seed(method: str, source: str) -> None:
    images = torch.rand(2, 3, 12, 12)
    maps = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        np.random.seed(global_seed)
        random.seed(global_seed)
        net = AlwaysRandom(source).train()
        torch.manual_seed(global_seed)
        before = snapshot(net)
        explain = make_explainer(f"{method}:{OPTIONS[method]}" if method in OPTIONS else method, net)
        maps.append(explain(images, 1))
        assert snapshot(net) == before
    assert torch.equal(maps[0].saliency, maps[1].saliency)
    assert "random numbers drawn" in maps[0].passes_run


def test_another_seed_gives_a_random_network_another_map() -> None:
    images = torch.rand(1, 3, 12, 12)
    net = AlwaysRandom("torch")
    one, same, other = (MDM(net, sizes=2, steps=3, fill="zero", seed=seed)(images, 1).masks for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_randomness_that_begins_late_is_found() -> None:
    images = torch.rand(1, 3, 12, 12)
    maps = []
    for global_seed in (1, 2):
        net = AlwaysRandom("torch", from_pass=4)
        torch.manual_seed(global_seed)
        maps.append(MDM(net, sizes=2, steps=4)(images, 1).masks)
    assert torch.equal(*maps)
