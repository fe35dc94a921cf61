"""A network's layers, hooks and gradients come back after whatever another library did to them."""

import contextlib
import sys
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

from maskstack import MDM
from maskstack.scoring.attributes import Attributes
from maskstack.scoring.exclusive import gated
from maskstack.scoring.untouched import untouched


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 2, 3)), nn.Flatten())


def nothing(*_arguments: object) -> None:
    return None


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_exchanged_added_and_removed_layers_come_back_in_their_order(error: type[BaseException] | None) -> None:
    net = network()
    before = dict(net.named_modules())
    with pytest.raises(error) if error else nullcontext(), untouched(net):
        net[1]._modules["0"] = nn.Identity()
        net.add_module("more", nn.Linear(2, 2))
        del net[0]
        if error:
            raise error
    assert list(net.named_modules()) == list(before.items())


def test_hooks_of_every_kind_that_were_added_are_gone_and_own_ones_stay() -> None:
    net = network()
    own = net[0].register_forward_hook(nothing)
    other = net[1].register_forward_pre_hook(nothing)
    with untouched(net):
        net[0].register_forward_hook(nothing, with_kwargs=True, always_call=True)
        net[0].register_forward_pre_hook(nothing)
        net[1].register_full_backward_hook(nothing)
        net[1].register_full_backward_pre_hook(nothing)
        net.register_state_dict_post_hook(nothing)
        other.remove()
    assert len(net[0]._forward_hooks) == len(net[1]._forward_pre_hooks) == 1
    left = [name for module in net.modules() for name, value in vars(module).items() if "hook" in name and value]
    assert [name for name in left if name != "_is_full_backward_hook"] == ["_forward_hooks", "_forward_pre_hooks"]
    own.remove()
    other.remove()
    assert not net[0]._forward_hooks
    assert not net[1]._forward_pre_hooks, "a hook's handle no longer works"


def test_gradients_are_the_same_tensors_with_the_same_values() -> None:
    net = network()
    net(torch.rand(1, 3, 8, 8)).sum().backward()
    net[0].bias.grad = None
    before = [parameter.grad for parameter in net.parameters()]
    values = [None if gradient is None else gradient.clone() for gradient in before]
    with untouched(net):
        assert all(parameter.grad is None for parameter in net.parameters())
        net.zero_grad(set_to_none=False)
        net[0].bias.grad = torch.ones(4)
    for parameter, gradient, value in zip(net.parameters(), before, values, strict=True):
        assert parameter.grad is gradient
        assert gradient is None or torch.equal(gradient, value)


def test_a_scripted_network_is_left_alone() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)

        def forward(self, images: Tensor) -> Tensor:
            return self.conv(images)

    net = torch.jit.script(Net())
    with untouched(net):
        net(torch.rand(1, 3, 8, 8))
    assert net(torch.rand(1, 3, 8, 8)).requires_grad


def test_a_frozen_script_has_no_training_flag_and_is_explained() -> None:
    net = torch.jit.freeze(torch.jit.trace(network().eval(), torch.rand(1, 3, 8, 8)))
    images = torch.rand(2, 3, 8, 8)
    for model in (net, nn.Sequential(net, nn.Identity()).train()):
        found = MDM(model, sizes=2, steps=2)(images, 1)
        torch.testing.assert_close(found.score_before, network()(images).softmax(dim=1)[:, 1].detach())
        assert model is net or model.training


def test_buffers_that_a_first_pass_fills_or_registers_are_gone_again() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("grid", None)

        def forward(self, images: Tensor) -> Tensor:
            if self.grid is None:
                self.grid = torch.linspace(0, 1, images.shape[-1])
                self.register_buffer("steps", torch.ones(1), persistent=False)
            return (images * self.grid).mean(dim=(1, 2, 3))

    net = Net()
    with untouched(net):
        net(torch.rand(1, 3, 8, 8))
    assert (list(net.state_dict()), net.grid, hasattr(net, "steps")) == ([], None, False)
    assert net._non_persistent_buffers_set == set()
    assert net(torch.rand(1, 3, 12, 12)).shape == (1,)


def test_a_buffer_that_a_scripted_network_replaces_comes_back() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, images: Tensor) -> Tensor:
            self.calls = self.calls + 1
            return images.mean(dim=(1, 2, 3))

    net = torch.jit.script(Net())
    with untouched(net):
        net(torch.rand(1, 3, 8, 8))
    assert net.calls.item() == 0


class ChangesItself(nn.Module):
    """Hangs hooks into itself when it is first run and notes that it did, as networks of Hugging Face do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.register_buffer("mean", torch.zeros(4))
        self.is_hooked, self.scale, self.seen, self.last = False, None, [], {"shape": ()}

    def forward(self, images: Tensor) -> Tensor:
        if not self.is_hooked:
            self.conv.register_forward_hook(lambda _module, _inputs, output: self.seen.append(output))
            self.is_hooked, self.scale = True, nn.Parameter(torch.ones(4))
        self.seen.clear()
        values = self.conv(images).mean(dim=(2, 3))
        self.mean = 0.9 * self.mean + 0.1 * values.detach().mean(dim=0)
        self.last["shape"], self.newest = images.shape, values
        return self.seen[0].mean(dim=(2, 3)) * self.scale


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_a_network_that_changes_itself_comes_back_and_still_runs(error: type[BaseException] | None) -> None:
    net, images = ChangesItself().train(), torch.rand(2, 3, 8, 8)
    names, buffer = set(vars(net)), net.mean
    with pytest.raises(error) if error else nullcontext(), untouched(net):
        net(images)
        if error:
            raise error
    assert (net.is_hooked, net.scale, net.seen, net.last, net.training) == (False, None, [], {"shape": ()}, True)
    assert (set(vars(net)), list(net.state_dict())) == (names, ["mean", "conv.weight", "conv.bias"])
    assert net.mean is buffer
    assert not net.mean.any()
    assert net(images).shape == (2, 4), "its hooks are gone, and it thinks that it has them"


@pytest.mark.parametrize("where", ["put_back", "_set_gradients", "_set_requires_grad"])
def test_a_ctrl_c_in_the_midst_of_restoring_leaves_nothing_changed(where, monkeypatch) -> None:
    net = network().train()
    next(net.parameters()).grad = grad = torch.ones_like(next(net.parameters()))
    owner = Attributes if where == "put_back" else sys.modules["maskstack.scoring.untouched"]
    usual, calls = getattr(owner, where), []

    def interrupted(*arguments: object) -> None:
        calls.append(arguments)
        usual(*arguments)
        if len(calls) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), untouched(net):
        monkeypatch.setattr(owner, where, interrupted)
    assert all(module.training and not module._forward_pre_hooks for module in net.modules())
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert next(net.parameters()).grad is grad


def test_gradients_are_on_again_although_a_ctrl_c_came_at_the_edge_of_no_grad() -> None:
    with contextlib.suppress(KeyboardInterrupt), untouched(network()):
        torch.no_grad().__enter__()
        raise KeyboardInterrupt
    on = torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    assert on


def test_a_gate_that_a_ctrl_c_interrupts_lets_other_threads_through(monkeypatch) -> None:
    net, calls = network().train(), []

    def interrupted(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt), gated([net]):
        hooks = {id(hook): hook for module in net.modules() for hook in module._forward_pre_hooks.values()}
        (gate,) = hooks.values()
        monkeypatch.setattr(gate.over, "set", interrupted)
    assert len(calls) == 2
    assert not any(module._forward_pre_hooks for module in net.modules())
