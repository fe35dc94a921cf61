"""Explanations in several threads at a time, of one network and of several, beside a training loop."""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from tests.scoring.test_network_comes_back import AlwaysRandom, snapshot
from torch import Tensor, nn

from maskstack import MDM, Explanation, ModelError, Node
from maskstack.explainers.table import make_explainer
from maskstack.scoring import exclusive as module
from maskstack.scoring.exclusive import Gate, exclusive
from maskstack.scoring.randomness import RandomStream, global_states_kept
from maskstack.scoring.reach import reach
from maskstack.scoring.untouched import untouched

METHODS = (
    "mdm:sizes=3:steps=4",
    "hdm:benchmark=2:auxiliary=4:steps=4",
    "rise:masks=20:grid=3",
    "smoothgrad",
    "gradcam",
)
TRIALS = int(os.environ.get("MASKSTACK_THREAD_TRIALS", "50"))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
        nn.Dropout(0.3), nn.Linear(96, 3),
    ).train()  # fmt: skip


def together(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Results of the functions, each in a thread of its own, all started at once; the first error is raised."""
    found: list[Any] = [None] * len(works)
    errors: list[BaseException] = []
    ready = threading.Barrier(len(works))

    def run(number: int) -> None:
        try:
            ready.wait(10)
            found[number] = works[number]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads), "the threads wait for each other"
    if errors:
        raise errors[0]
    return found


def trial(net: nn.Module, methods: Sequence[str], images: Tensor) -> list[Tensor]:
    return together([lambda method=method: make_explainer(method, net)(images, 1).saliency for method in methods])


def check_trials(count: int, *, is_random: bool = False) -> None:
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    net = AlwaysRandom("torch").train() if is_random else network()
    expected = {method: make_explainer(method, net)(images, 1).saliency for method in METHODS}
    before = snapshot(net)
    for number in range(count):
        methods = [METHODS[(number + step) % len(METHODS)] for step in (0, 1 + number // len(METHODS) % 4)]
        for method, found in zip(methods, trial(net, methods, images), strict=True):
            assert torch.equal(found, expected[method]), (number, method)
        assert snapshot(net) == before, number


@pytest.mark.slow
def test_two_explanations_of_one_network_at_a_time() -> None:
    check_trials(5)


@pytest.mark.slow
def test_two_explanations_of_a_network_that_draws_random_numbers() -> None:
    check_trials(3, is_random=True)


@pytest.mark.slow
def test_two_explanations_of_one_network_many_times() -> None:
    check_trials(TRIALS)


def test_methods_that_draw_random_numbers_on_two_networks() -> None:
    images = torch.rand(1, 3, 16, 16)
    nets = [network(), network()]
    expected = make_explainer("smoothgrad", nets[0])(images, 1).saliency
    for _ in range(3):
        works = [lambda net=net: make_explainer("smoothgrad", net)(images, 1).saliency for net in nets]
        assert all(torch.equal(found, expected) for found in together(works))


def train(net: nn.Module, over: threading.Event) -> list[float]:
    """A training loop that goes on until the event: which share of the steps had gradients."""
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(0)
    learned = []
    while not over.is_set() or len(learned) < 20:
        images = torch.rand(8, 3, 16, 16, generator=generator)
        loss = nn.functional.cross_entropy(net(images), (images.mean(dim=(1, 2, 3)) > 0.5).long())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        learned.append(float(all(parameter.grad is not None for parameter in net.parameters())))
    return learned


@pytest.mark.parametrize("method", METHODS)
def test_a_training_loop_beside_an_explanation_keeps_learning(method: str) -> None:
    net = network()
    images = torch.rand(2, 3, 16, 16)
    over = threading.Event()

    def explain() -> None:
        try:
            for _ in range(3):
                make_explainer(method, net)(images, 1)
        finally:
            over.set()

    _, learned = together([explain, lambda: train(net, over)])
    assert len(learned) - sum(learned) <= 3, "more than the step under way at the start of each explanation is lost"
    assert all(module.training for module in net.modules())
    assert all(parameter.requires_grad and parameter.grad is not None for parameter in net.parameters())


@pytest.mark.slow
def test_a_part_that_is_trained_beside_an_explanation_of_the_whole_keeps_learning() -> None:
    part = network()
    whole = nn.Sequential(nn.Identity(), nn.ModuleDict({"part": part})["part"])
    over = threading.Event()

    def explain() -> None:
        try:
            for _ in range(3):
                make_explainer("mdm:sizes=3:steps=4", whole)(torch.rand(2, 3, 16, 16), 1)
        finally:
            over.set()

    _, learned = together([explain, lambda: train(part, over)])
    assert len(learned) - sum(learned) <= 3
    assert all(parameter.requires_grad and parameter.grad is not None for parameter in part.parameters())


@pytest.mark.slow
def test_a_training_loop_on_another_network_does_not_change_the_map() -> None:
    images = torch.rand(2, 3, 16, 16)
    net = network()
    over = threading.Event()
    for method in ("mdm:sizes=3:steps=4", "gradcam"):
        expected = make_explainer(method, net)(images, 1)
        over.clear()

        def explain(method: str = method) -> Explanation:
            try:
                return make_explainer(method, net)(images, 1)
            finally:
                over.set()

        found, learned = together([explain, lambda: train(network(), over)])
        assert torch.equal(found.saliency, expected.saliency)
        assert found.passes_run == expected.passes_run, "the loop's random numbers are not taken for the network's"
        assert all(learned)


def test_threads_that_wait_for_each_other_get_an_error_and_not_a_deadlock() -> None:
    one, other = nn.Linear(1, 1), nn.Linear(1, 1)
    both = threading.Barrier(2)
    refused = []

    def nested(first: nn.Module, second: nn.Module) -> None:
        with exclusive(reach(first)):
            both.wait(10)
            try:
                with exclusive(reach(second)):
                    pass
            except ModelError:
                refused.append(first)

    together([lambda: nested(one, other), lambda: nested(other, one)])
    assert len(refused) == 1


def test_nested_use_in_one_thread_restores_once() -> None:
    net = network()
    before = snapshot(net)
    with untouched(net):
        with untouched(net[0]), untouched(lambda images: net(images)):
            assert not net.training
        assert not net.training
        assert not net[0].weight.requires_grad
    assert snapshot(net) == before


@pytest.mark.slow
def test_a_network_that_runs_parts_of_itself_in_threads_does_not_wait_for_itself(monkeypatch) -> None:
    class Tiles(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tile = network()
            self.pool = ThreadPoolExecutor(2)

        def forward(self, images: Tensor) -> Tensor:
            return sum(self.pool.map(self.tile, torch.split(images, 16, dim=3)))

    monkeypatch.setattr(module, "PATIENCE", 0.2)
    net, images = Tiles().train(), torch.rand(1, 3, 16, 32)
    with pytest.warns(UserWarning, match="runs parts of itself in threads"):
        (found,) = together([lambda: MDM(net, sizes=2, steps=2)(images, 1)])
    assert torch.equal(found.saliency, MDM(net.eval(), sizes=2, steps=2)(images, 1).saliency)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer that interrupts")
def test_ctrl_c_at_any_moment_leaves_no_hook_and_no_owner() -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    net, over = network(), threading.Event()
    images = torch.rand(1, 3, 16, 16)
    explainer = MDM(net, sizes=2, steps=2)
    before = snapshot(net)
    other = threading.Thread(target=over.wait)
    other.start()  # with another thread alive, an explanation waits before it freezes the network
    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        for number in range(60):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.001 * (1 + number % 30))
                explainer(images, 1)
            except KeyboardInterrupt:
                pass
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert not any(
                isinstance(hook, Gate) for each in net.modules() for hook in each._forward_pre_hooks.values()
            )
            assert snapshot(net) == before
            assert not module._owners
    finally:
        signal.signal(signal.SIGALRM, previous)
        over.set()
        other.join()


@pytest.mark.slow
def test_a_check_with_random_weights_does_not_disturb_an_explanation_in_another_thread() -> None:
    net, images = network().eval(), torch.rand(1, 3, 16, 16)
    explainer = MDM(net, sizes=3, steps=6, members=2)
    alone = explainer(images, 1)
    checking = threading.Event()

    def check() -> None:
        checking.set()
        explainer.check(images, alone, 1, randomize=True)

    def explain() -> list[Explanation]:
        checking.wait(10)
        return [explainer(images, 1) for _ in range(4)]

    _, found = together([check, explain])
    assert all(torch.equal(each.saliency, alone.saliency) for each in found)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["node", "gradcam"])
def test_another_thread_can_use_the_network_beside_methods_that_hook_it(what: str) -> None:
    net, images, over = network().eval(), torch.rand(2, 3, 16, 16), threading.Event()
    explainer = MDM(Node(net, "2"), sizes=2, steps=4) if what == "node" else make_explainer("gradcam", net)
    expected = explainer(images, 1).saliency

    def serve() -> int:
        count = 0
        with torch.no_grad():
            while not over.is_set():
                assert net(images).shape == (2, 3)
                count += 1
        return count

    def explain() -> list[Tensor]:
        try:
            return [explainer(images, 1).saliency for _ in range(10)]
        finally:
            over.set()

    count, found = together([serve, explain])
    assert count
    assert all(torch.equal(each, expected) for each in found)


def test_an_accelerators_generator_comes_back_after_overlapping_threads(monkeypatch) -> None:
    state, first_inside, second_inside, first_over = ["user"], *(threading.Event() for _ in range(3))

    class Generator:
        @staticmethod
        def get_rng_state(_device: object) -> Tensor:
            return torch.tensor(list(state[0].encode()))

        @staticmethod
        def set_rng_state(value: Tensor, _device: object) -> None:
            state[0] = bytes(value.tolist()).decode()

    monkeypatch.setattr("maskstack.scoring.randomness._generator", lambda _device: Generator)
    device = torch.device("cuda")
    stream = RandomStream(0, [device])
    monkeypatch.setattr(stream, "_start", lambda: Generator.set_rng_state(torch.tensor(list(b"stream")), device))

    def one() -> None:
        with global_states_kept([device]), stream.drawn():
            first_inside.set()
            second_inside.wait(10)
        first_over.set()

    def other() -> None:
        first_inside.wait(10)
        with global_states_kept([device]):
            second_inside.set()
            first_over.wait(10)

    together([one, other])
    assert state == ["user"]
