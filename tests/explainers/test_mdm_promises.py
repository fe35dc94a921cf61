"""What MDM promises of the user's network, of its result, and of a batch."""

import gc
import resource
import shutil

import pytest
import torch
from tests.small import network, photos
from torch import Tensor, nn

import maskstack
from maskstack import MDM, InputError, ModelError
from maskstack.masks import preset
from maskstack.objectives import class_logit, custom
from maskstack.speed import Speed

QUICK = {"sizes": (2, 5), "steps": 6}


@pytest.mark.slow
@pytest.mark.parametrize("joint", [True, False])
def test_eight_images_at_once_equal_eight_alone(joint: bool) -> None:
    net, images = network(), photos(8)
    mdm = MDM(net, **QUICK, joint=joint, fill=("zero", "noise"))
    targets = [0, 1, 2, 3, 4, 0, 1, 2]
    together = mdm(images, class_logit(targets))
    for row, target in enumerate(targets):
        alone = mdm(images[row : row + 1], class_logit(target))
        assert torch.allclose(together.saliency[row], alone.saliency[0], atol=1e-3)
        assert torch.allclose(together.score_before[row], alone.score_before[0], atol=1e-5)


def test_the_same_call_gives_the_same_map_bit_for_bit() -> None:
    net, images = network(), photos(2)
    first, second = (MDM(net, **QUICK, fill=("blur", "noise"))(images, 1) for _ in range(2))
    assert torch.equal(first.saliency, second.saliency)


def test_the_default_dtype_is_neither_used_nor_changed() -> None:
    net, images = network(), photos(1)
    plain = MDM(net, **QUICK)(images, 1).saliency
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(MDM(net, **QUICK)(images, 1).saliency, plain)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_run_can_be_made_again_from_its_settings() -> None:
    net, images = network(), photos(1)
    first = MDM(net, preset="paper", sizes=(3, 4), steps=5)(images, 1)
    again = MDM(net, **first.settings)(images, first.target)
    assert torch.equal(first.saliency, again.saliency)


def test_no_target_means_the_predicted_class() -> None:
    net, images = network().eval(), photos(4)
    found = MDM(net, **QUICK)(images)
    assert list(found.target) == net(images).argmax(dim=1).tolist()
    assert torch.allclose(found.score_before, net(images).softmax(dim=1).amax(dim=1), atol=1e-5)


@pytest.mark.slow
def test_works_frozen_and_under_no_grad_with_the_same_map() -> None:
    net, images = network(), photos(1)
    free = MDM(net, **QUICK)(images, 1)
    net.requires_grad_(False)
    with torch.no_grad():
        frozen = MDM(net, **QUICK)(images, 1)
        assert not torch.is_grad_enabled()
    assert torch.equal(free.saliency, frozen.saliency)
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_inference_mode_gets_one_sentence() -> None:
    with torch.inference_mode(), pytest.raises(ModelError, match=r"inference_mode.*outside"):
        MDM(network(), **QUICK)(photos(1), 1)


class Interrupted(nn.Module):
    """Passes through a network, and is interrupted at its n-th call."""

    def __init__(self, inner: nn.Module, calls: int, error: type[BaseException]) -> None:
        super().__init__()
        self.inner, self.left, self.error = inner, calls, error

    def forward(self, images: Tensor) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise self.error("stop")
        return self.inner(images)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_network_is_put_back_after_an_interruption(error: type[BaseException]) -> None:
    inner = network()
    inner[1].eval()
    inner[0].weight.requires_grad_(False)
    net = Interrupted(inner, 8, error)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    flags = [module.training for module in net.modules()]
    wants = [parameter.requires_grad for parameter in net.parameters()]
    state = torch.get_rng_state()
    with pytest.raises(error, match="stop"):
        MDM(net, **QUICK)(photos(1), 1)
    assert flags == [module.training for module in net.modules()]
    assert wants == [parameter.requires_grad for parameter in net.parameters()]
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


class Counting(nn.Module):
    """A network whose forward pass changes its own buffer and draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        torch.rand(3)
        return self.inner(images)


def test_buffers_and_random_state_survive_a_network_that_changes_them() -> None:
    net, state = Counting(), torch.get_rng_state()
    MDM(net, **QUICK)(photos(1), 1)
    assert net.calls.item() == 0
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.slow
def test_passes_are_those_the_network_saw() -> None:
    net = network()
    seen = []
    net[0].register_forward_pre_hook(lambda _module, inputs: seen.append((len(inputs[0]), torch.is_grad_enabled())))
    found = MDM(net, **QUICK, joint=False, batch_size=4)(photos(3), 1)
    assert sum(count for count, _ in seen) == int(found.forward_passes.sum())
    assert sum(count for count, grad in seen if grad) == int(found.backward_passes.sum())
    assert max(count for count, _ in seen) <= 4
    promised = MDM(net, **QUICK, joint=False).cost(3)
    assert promised == {"forward": sum(c for c, _ in seen), "backward": int(found.backward_passes.sum())}


def living_tensors() -> int:
    return sum(issubclass(type(item), Tensor) for item in gc.get_objects())


@pytest.mark.slow
@pytest.mark.usefixtures("new_objects_alone")
def test_memory_is_flat_over_many_calls() -> None:
    mdm, images = MDM(network(), **{**QUICK, "steps": 2, "members": 2}), photos(1)

    def grown(calls: int) -> int:
        for _ in range(calls):
            mdm(images, 1)
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    settled = grown(20)
    tensors = living_tensors()
    assert grown(50) - settled < 4 * 1024  # KiB
    assert living_tensors() == tensors


def test_half_precision_networks_are_explained_in_their_own_type() -> None:
    net = network().to(torch.bfloat16)
    found = MDM(net, **QUICK)(photos(1).to(torch.bfloat16), 1)
    assert found.saliency.dtype == torch.float32
    assert len(torch.unique(found.grids[1])) > 1


def test_double_precision_works() -> None:
    assert MDM(network().double(), **QUICK)(photos(1).double(), 1).saliency.dtype == torch.float32


@pytest.mark.slow
def test_bf16_autocast_and_channels_last_agree_with_the_plain_map() -> None:
    net, images = network(), photos(1)
    quick = {**QUICK, "keep": 0.0}
    plain = MDM(net, **quick, speed="plain")(images, class_logit(1)).stack
    last = MDM(net, **quick, speed="auto")(images, class_logit(1)).stack
    half = MDM(net, **quick, speed="half")(images, class_logit(1)).stack
    assert torch.allclose(plain, last, atol=1e-3)
    assert (plain - half).abs().mean() < 0.05


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
@pytest.mark.slow
@pytest.mark.parametrize(("speed", "tolerance"), [("compiled", 1e-3), ("half_compiled", 0.5)])
def test_a_compiled_network_gives_the_same_map_and_stays_as_it_was(speed: Speed, tolerance: float) -> None:
    net, images = network(), photos(1)
    plain = MDM(net, **QUICK)(images, class_logit(1)).stack
    compiled = MDM(net, **QUICK, speed=speed)(images, class_logit(1)).stack
    assert torch.allclose(plain, compiled, atol=tolerance)
    assert net.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in net.parameters())


class Labelled(Tensor):
    """Keeps its type through every operation, as MONAI's MetaTensor does."""


@pytest.mark.slow
def test_images_of_a_type_of_their_own_give_plain_tensors() -> None:
    net, images = network(), photos(1)
    plain, own = (MDM(net, **QUICK)(given, 1) for given in (images, images.as_subclass(Labelled)))
    assert type(own.score_before) is type(own.saliency) is Tensor
    assert torch.equal(own.saliency, plain.saliency)


def test_a_function_of_the_output_is_an_objective() -> None:
    net, images = network(), photos(2)
    by_function = MDM(net, **QUICK)(images, lambda output: output[:, 2])
    by_name = MDM(net, **QUICK)(images, class_logit(2))
    assert torch.equal(by_function.saliency, by_name.saliency)
    assert by_function.target is None


@pytest.mark.slow
def test_outputs_in_wrappings_give_the_same_map() -> None:
    net, images = network(), photos(1)
    # Only a module is folded, and rounded differently.
    plain = MDM(lambda x: net.eval()(x), **QUICK)(images, 1).saliency
    for wrap in (lambda y: (y, None), lambda y: {"logits": y, "loss": y.sum()}, lambda y: [y]):
        assert torch.equal(MDM(lambda x, wrap=wrap: wrap(net.eval()(x)), **QUICK)(images, 1).saliency, plain)


BAD_IMAGES = {
    "NaN or infinite": torch.full((1, 3, 32, 32), torch.nan),
    "floating-point": torch.zeros(1, 3, 32, 32, dtype=torch.uint8),
    "images are float8_e4m3fn; give .* such as float32": torch.zeros(1, 3, 32, 32).to(torch.float8_e4m3fn),
    "a sparse or nested tensor": torch.zeros(1, 3, 32, 32).to_sparse(),
    "nested tensor; give an ordinary one": torch.nested.nested_tensor([torch.zeros(3, 32, 32)]),
    "batch is empty": torch.zeros(0, 3, 32, 32),
    "unsqueeze": torch.zeros(3, 32, 32),
    r"channels last; give images.permute": torch.zeros(1, 32, 32, 3),
    "larger than the image": torch.zeros(1, 3, 1, 1),
    "takes images of 3 channels, but these have 4": torch.zeros(1, 4, 32, 32),
}


@pytest.mark.parametrize("says", BAD_IMAGES)
def test_bad_images_get_one_clear_sentence(says: str) -> None:
    with pytest.raises(maskstack.MaskstackError, match=says) as caught:
        MDM(network(), **QUICK)(BAD_IMAGES[says], 1)
    assert "\n" not in str(caught.value)


def test_bad_networks_get_one_clear_sentence() -> None:
    net, images = network().eval(), photos(1)
    with pytest.raises(ModelError, match="no gradient reaches the image"):
        MDM(lambda x: net(x.detach()).requires_grad_(), **QUICK)(images, 1)
    with pytest.raises(ModelError, match="no gradient reaches the image"):
        MDM(lambda x: torch.from_numpy(net(x).detach().numpy()), **QUICK)(images, 1)
    with pytest.raises(InputError, match=r"target 1 is out of range; the network gives one value .* remove the argmax"):
        MDM(lambda x: net(x).argmax(dim=1, keepdim=True).float(), **QUICK)(images, 1)
    with pytest.raises(ModelError, match="score for image 0 is nan"):
        MDM(lambda x: net(x) * torch.nan, **QUICK)(images, 1)
    with pytest.raises(ModelError, match="returned a str"):
        MDM(lambda _x: "a cat", **QUICK)(images, 1)
    with pytest.raises(InputError, match="the network is the text 'resnet'; load it first"):
        MDM("resnet", **QUICK)


def test_bad_targets_get_one_clear_sentence() -> None:
    mdm, images = MDM(network(), **QUICK), photos(2)
    with pytest.raises(InputError, match="target 5 is out of range; the network has classes 0 to 4"):
        mdm(images, 5)
    with pytest.raises(InputError, match="3 values of target for 2 images"):
        mdm(images, [1, 2, 3])
    with pytest.raises(ModelError, match="one number per image"):
        mdm(images, custom(lambda output: output))


def test_a_network_that_sees_nothing_is_not_to_be_used() -> None:
    found = MDM(lambda x: x.mean(dim=(1, 2, 3), keepdim=True).flatten(1) * 0 + torch.ones(3), **QUICK)(photos(1), 1)
    assert "no region explains the score" in found.trust.problems[0]
    assert torch.isfinite(found.saliency).all()


def test_progress_reports_every_step_and_can_stop() -> None:
    states = []
    MDM(network(), **QUICK)(photos(1), 1, progress=lambda state: states.append(state))
    assert [state.step for state in states] == [1, 2, 3, 4, 5, 6]
    assert states[-1].preview().shape == (1, 32, 40)
    stopped = MDM(network(), **QUICK)(photos(1), 1, progress=lambda state: state.step < 3)
    assert stopped.backward_passes.tolist() == [3 * preset("default").members]
