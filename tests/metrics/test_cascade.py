"""Is a network randomised from the output down, and restored afterwards?"""

import copy

import pytest
import torch
from torch import nn

from maskstack.errors import InputError
from maskstack.metrics import cascade
from maskstack.metrics.cascade import make_random


class Token(nn.Module):
    """A layer with parameters of its own, but without ``reset_parameters``."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((400,), 3.0))
        self.absent = nn.Parameter(torch.zeros(5))
        self.inner = nn.Linear(4, 2)


def network() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 4), Token())
    net[1].running_mean.fill_(2)
    net[1].running_var.fill_(5)
    net[1].num_batches_tracked.fill_(9)
    return net.eval()


NAMES = ["5.inner", "5", "4", "1", "0"]


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(model: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def test_layers_become_random_one_more_at_a_time_from_the_output_down() -> None:
    net = network()
    before, seen = values(net), []
    held = dict(net.named_parameters())
    expected: set[str] = set()
    added = {
        "5.inner": {"5.inner.weight", "5.inner.bias"},
        "5": {"5.scale"},  # Zeros have the scale 0.
        "4": {"4.weight", "4.bias"},
        "1": {"1.running_mean", "1.running_var", "1.num_batches_tracked"},  # Its weights are still the first ones.
        "0": {"0.weight", "0.bias"},
    }
    with cascade(net) as depths:
        assert depths.names == NAMES
        assert changed(net, before) == set()
        for name in depths:
            seen.append(name)
            expected |= added[name]
            assert changed(net, before) == expected
    assert seen == NAMES
    assert changed(net, before) == set()
    assert all(held[name] is parameter for name, parameter in net.named_parameters())
    assert all(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("after", range(1, len(NAMES) + 1))
def test_the_network_is_restored_after_an_error(error: type[BaseException], after: int) -> None:
    net = network()
    before = values(net)

    def fail_in_between() -> None:
        with cascade(net) as depths:
            for depth, _ in enumerate(depths, start=1):
                if depth == after:
                    raise error

    with pytest.raises(error):
        fail_in_between()
    assert changed(net, before) == set()


def test_it_comes_back_from_a_generator_that_nobody_finishes() -> None:
    net = network()
    before = values(net)

    def depths():
        with cascade(net) as layers:
            yield from layers

    unfinished = depths()
    next(unfinished)
    assert changed(net, before)
    unfinished.close()
    assert changed(net, before) == set()


def test_it_comes_back_where_parameters_and_buffers_were_exchanged() -> None:
    net = network()
    before, held = values(net), net[4].weight
    with cascade(net) as depths:
        list(depths)
        net[4].weight = nn.Parameter(torch.zeros(4, 4))
        net[1].running_mean = torch.ones(4)
    assert net[4].weight is held
    assert changed(net, before) == set()


def test_the_seed_alone_decides_and_torchs_generator_stays() -> None:
    def last_values(seed: int, *, noise: int = 0, layers: list[str] | None = None) -> dict[str, torch.Tensor]:
        torch.manual_seed(noise)
        with cascade(net, seed=seed, layers=layers) as depths:
            state = torch.get_rng_state()
            for _ in depths:
                assert torch.equal(torch.get_rng_state(), state)
                torch.rand(1)
                state = torch.get_rng_state()
            return values(net)

    net = network()
    first, same, other = last_values(1), last_values(1, noise=7), last_values(2)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])
    some = last_values(1, layers=NAMES[:3])
    assert torch.equal(first["4.weight"], some["4.weight"])
    assert torch.equal(some["0.weight"], net[0].weight)


def test_a_layer_of_its_own_rule_gets_what_that_rule_draws() -> None:
    layer, same = nn.Conv2d(3, 5, 3), nn.Conv2d(3, 5, 3)
    make_random(layer, seed=4)
    torch.manual_seed(4)
    same.reset_parameters()
    assert torch.equal(layer.weight, same.weight)
    assert torch.equal(layer.bias, same.bias)
    bare = nn.Linear(3, 2, bias=False)
    make_random(bare, seed=4)
    assert bare.bias is None


def test_a_layer_without_a_rule_keeps_its_size_and_nothing_else() -> None:
    token = Token()
    inner = copy.deepcopy(token.inner)
    make_random(token, seed=0)
    assert token.scale.square().mean().sqrt().item() == pytest.approx(3, rel=0.1)
    assert token.scale.mean().abs().item() < 0.5
    assert token.absent.abs().max() == 0
    assert torch.equal(token.inner.weight, inner.weight), "children are layers of their own"


def test_shared_parameters_come_back() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    before = values(net)
    with cascade(net) as depths:
        list(depths)
    assert changed(net, before) == set()
    assert net[1].weight is net[0].weight


def test_unknown_layers_and_networks_without_are_refused() -> None:
    with pytest.raises(InputError, match="no parameters to randomise"), cascade(nn.ReLU()):
        pass
    with pytest.raises(InputError, match="'2'"), cascade(network(), layers=["2"]):
        pass
