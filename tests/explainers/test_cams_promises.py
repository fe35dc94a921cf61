"""What the class activation maps promise of cost, of the user's network, and of bad arguments."""

import gc
import sys

import pytest
import torch
from tests.explainers.cam_network import CHANNELS, network
from tests.small import photos
from torch import Tensor, nn

from maskstack.errors import InputError, MissingExtraError, ModelError
from maskstack.explainers.cam.cam import CAM, KINDS
from maskstack.models.frozen import FixedBatch

SIZE = (32, 48)

pytest.importorskip("pytorch_grad_cam")


class Watched:
    """Counts what a network is asked for."""

    def __init__(self, net: nn.Sequential) -> None:
        self.forward: list[int] = []
        self.backward = 0
        net[0][0].register_forward_pre_hook(lambda _module, inputs: self.forward.append(len(inputs[0])))
        net[3].register_full_backward_hook(self.back)

    def back(self, _module: nn.Module, _inputs: object, outputs: tuple[Tensor]) -> None:
        self.backward += len(outputs[0])


@pytest.mark.parametrize("kind", KINDS)
def test_passes_are_those_the_network_saw_and_those_promised(kind: str) -> None:
    net = network()
    cam = CAM(net, kind=kind, layer="1", batch_size=4)
    promised = cam.cost(5, size=(32, 48))
    watched = Watched(net)
    found = cam(photos(5, SIZE), 1)
    assert promised["forward"] == sum(watched.forward) == int(found.forward_passes.sum())
    assert promised["backward"] == watched.backward == int(found.backward_passes.sum())
    assert max(watched.forward) <= 4
    for_each = {"scorecam": CHANNELS, "ablationcam": CHANNELS + 1}.get(kind, 0) + 3
    assert found.forward_passes.tolist() == [for_each + 1, *[for_each] * 4]


def state(net: nn.Module) -> list[object]:
    hooks = [(name, list(v)) for module in net.modules() for name, v in vars(module).items() if "hooks" in name]
    flags = [module.training for module in net.modules()], [each.requires_grad for each in net.parameters()]
    gradients = [None if each.grad is None else id(each.grad) for each in net.parameters()]
    return [list(map(id, net.modules())), hooks, flags, gradients, torch.get_rng_state().tolist()]


@pytest.mark.parametrize("kind", KINDS)
def test_the_network_comes_back_untouched(kind: str) -> None:
    net = network()
    net[0][1].eval()
    net[0][0].weight.requires_grad_(False)
    net(photos(2, SIZE)).sum().backward()
    net[1].register_forward_hook(lambda *_: None)
    before, weights = state(net), {key: value.clone() for key, value in net.state_dict().items()}
    CAM(net, kind=kind)(photos(2, SIZE))
    assert state(net) == before
    assert all(torch.equal(weights[key], value) for key, value in net.state_dict().items())


class Interrupted(nn.Module):
    """A layer that passes on what it gets, and at its n-th call raises."""

    def __init__(self, calls: int, error: type[BaseException]) -> None:
        super().__init__()
        self.left, self.error = calls, error

    def forward(self, images: Tensor) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise self.error("stop")
        return images


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, IndexError])
@pytest.mark.parametrize("kind", ["gradcam", "eigencam", "scorecam", "ablationcam"])
def test_an_interruption_is_passed_on_and_leaves_nothing(kind: str, error: type[BaseException]) -> None:
    net = network()
    # Prediction, score and the look at the layers; then within the method.
    calls = 3 if not KINDS[kind].channels else 6
    for place in (0, 4):
        layers = list(net)
        layers.insert(place, Interrupted(calls, error))
        stopping = nn.Sequential(*layers)
        before = state(stopping)
        # An error of the network becomes a sentence; Ctrl-C stays what it is.
        with pytest.raises(error if error is KeyboardInterrupt else ModelError) as raised:
            CAM(stopping, kind=kind, layer=net[1], batch_size=1)(photos(1, SIZE), 1)
        assert "stop" in str(raised.value) or "stop" in str(raised.value.__cause__)
        assert state(stopping) == before


@pytest.mark.parametrize("kind", KINDS)
def test_works_frozen_and_under_no_grad_with_the_same_map(kind: str) -> None:
    net, images = network(), photos(2, SIZE)
    free = CAM(net, kind=kind)(images, 1)
    net.requires_grad_(False)
    with torch.no_grad():
        frozen = CAM(net, kind=kind)(images, 1)
    assert torch.equal(free.saliency, frozen.saliency)


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_of_one_fixed_batch_size_gives_the_same_map(kind: str) -> None:
    net, images = network(), photos(3, SIZE)
    plain = CAM(net, kind=kind)(images, 1)
    for batch in (1, 4):
        fixed = CAM(FixedBatch(net, batch), kind=kind)(images, 1)
        assert torch.allclose(plain.grids[0], fixed.grids[0], atol=1e-5, rtol=1e-3)


class DrawsLater(nn.Module):
    """Draws a random number at its n-th call, which does not change its output."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.left = calls

    def forward(self, images: Tensor) -> Tensor:
        self.left -= 1
        return images + 0 * torch.rand(1) if self.left == 0 else images


@pytest.mark.parametrize("calls", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_a_pass_that_runs_again_for_its_random_numbers_counts_once(kind: str, calls: int) -> None:
    images = photos(1, SIZE)
    plain = CAM(network(), kind=kind)(images, 1)
    drawing = CAM(nn.Sequential(DrawsLater(calls), *network()), kind=kind)(images, 1)
    assert torch.equal(drawing.saliency, plain.saliency)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'maskstack\[rivals\]'"):
        CAM(network())


def test_bad_arguments_get_one_clear_sentence() -> None:
    with pytest.raises(InputError, match="kind is 'cam'; it must be one of gradcam, gradcam"):
        CAM(network(), kind="cam")
    with pytest.raises(InputError, match="no layer '9'"):
        CAM(network(), layer=9)
    with pytest.raises(InputError, match="batch_size is 0"):
        CAM(network(), batch_size=0)
    with pytest.raises(ModelError, match=r"no layer of the network has a spatial output.*MDM"):
        CAM(lambda images: images.mean(dim=(2, 3)))
    with pytest.raises(InputError, match="the layer 3 gives 1 x 5, in which there is no height and width"):
        CAM(network(), layer="3")(photos(1, SIZE), 1)
    with pytest.raises(ModelError, match="does not take images of shape 1 x 3 x 224 x 224"):
        CAM(nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten(), nn.Linear(4, 2)), kind="scorecam").cost(1)


@pytest.mark.slow
@pytest.mark.usefixtures("new_objects_alone")
def test_nothing_is_kept_over_many_calls() -> None:
    images = photos(2, SIZE)
    for kind in ("gradcam", "eigencam", "ablationcam"):
        cam = CAM(network(), kind=kind)

        def living(calls: int, cam: CAM = cam) -> int:
            for _ in range(calls):
                cam(images, 1)
            gc.collect()
            return sum(issubclass(type(item), Tensor) for item in gc.get_objects())

        living(1)  # what other tests left is collected
        assert living(2) == living(4)


def test_a_scripted_network_has_no_layers_to_read() -> None:
    with pytest.raises(ModelError, match="the layers of a TorchScript network cannot be read"):
        CAM(torch.jit.trace(network(), photos(1, SIZE)))
