"""HDM: the second region is found where one suffices, images leave one by one, and MDM's promises hold."""

import pytest
import torch
from tests.small import network, photos
from torch import Tensor, nn

from maskstack import HDM, MDM, Explanation, InputError
from maskstack.masks.modules import surroundings
from maskstack.objectives import class_logit

SIZE = (48, 64)
SQUARES = ((slice(6, 20), slice(6, 22)), (slice(26, 42), slice(40, 58)))
QUICK = {"benchmark": (2, 4), "auxiliary": 8, "steps": 6}


class Either(nn.Module):
    """Answers by the sharper one of two squares of a chequered image, so that one of them suffices."""

    def __init__(self, pattern: Tensor) -> None:
        super().__init__()
        self.pattern = nn.Parameter(pattern)

    def forward(self, x: Tensor) -> Tensor:
        seen = x * self.pattern
        sharp = torch.stack([seen[:, :, down, across].mean(dim=(1, 2, 3)) for down, across in SQUARES], dim=1)
        sharp = (sharp * sharp.new_tensor([1.0, 0.9])).amax(dim=1)
        return torch.stack([12 * sharp - 5, torch.zeros_like(sharp)], dim=1)


def chequered(without: tuple[slice, slice] | None = None) -> Tensor:
    y, x = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    image = ((y // 2 + x // 2) % 2 * 2.0 - 1).expand(1, 3, *SIZE).clone()
    if without is not None:
        image[:, :, without[0], without[1]] = 0
    return image


def modules(found: Explanation) -> list[int]:
    return (found.steps > 0).sum(dim=1).tolist()


def brightness(found: Explanation, row: int = 0) -> list[float]:
    return [float(found.saliency[row, 0][square].mean()) for square in SQUARES]


@pytest.mark.slow
def test_where_one_region_suffices_one_search_finds_one_and_the_modules_both() -> None:
    net, image, alone = Either(chequered()), chequered(), {"removal_every": 0, "steps": 60}
    one = brightness(MDM(net, preset="single", sizes=(3, 6, 12), **alone)(image, 0))
    assert one[0] > 0.5
    assert one[1] < 0.1
    found = HDM(net, benchmark=(3, 6), auxiliary=12, **alone)(image, 0)
    assert min(brightness(found)) > 0.5
    assert found.trust.problems == (None,)


@pytest.mark.slow
def test_an_image_with_nothing_left_is_done_after_one_module_while_others_go_on() -> None:
    images = torch.cat([chequered(without=SQUARES[1]), chequered()])
    found = HDM(Either(chequered()), benchmark=(3, 6), auxiliary=12, steps=60, least=0.5)(images, 0)
    assert modules(found)[0] == 1 < modules(found)[1]
    assert found.backward_passes[0] < found.backward_passes[1]
    assert found.masks[0, 1:].amax() == 0
    assert found.grids[1][0].amax() == 0
    assert found.score_under_masks[0, 1] == found.score_hidden[0, 0]


def test_no_image_takes_more_modules_than_allowed() -> None:
    found = HDM(Either(chequered()), benchmark=(3, 6), auxiliary=12, steps=20, modules=1)(chequered(), 0)
    assert modules(found) == [1]
    assert found.masks.shape == (1, 1, *SIZE)


@pytest.mark.slow
def test_a_module_sees_no_more_than_what_its_benchmark_opened() -> None:
    found = HDM(Either(chequered()), benchmark=3, auxiliary=12, steps=60, removal_every=0)(chequered(), 0)
    first = found.masks[0, 0]
    assert first[SQUARES[0]].mean() > 0.5
    assert first[:, 44:].mean() < 0.1


def test_shapes_and_fields() -> None:
    found = HDM(network(), **QUICK, class_names="abcde")(photos(2), [1, 3])
    assert found.saliency.shape == found.stack.shape == (2, 1, 32, 40)
    assert found.masks.shape == (2, 3, 32, 40)
    assert [grid.shape for grid in found.grids] == [(2, 8, 8)] * 3
    assert found.score_under_masks.shape == found.steps.shape == (2, 3)
    assert found.method == "hdm"
    assert found.target_name == ("b", "d")
    for maps in (found.saliency, found.stack, found.masks):
        assert 0 <= maps.amin() <= maps.amax() <= 1


@pytest.mark.slow
def test_a_saved_explanation_comes_back(tmp_path) -> None:
    found = HDM(network(), **QUICK)(photos(2), 1)
    back = Explanation.load(found.save(tmp_path / "found"))
    assert torch.equal(back.masks, found.masks)
    assert modules(back) == modules(found)
    found.plot(torch.rand(32, 40, 3).numpy(), row=1)


@pytest.mark.slow
def test_four_images_at_once_equal_four_alone() -> None:
    hdm, images, targets = HDM(network(), **QUICK, fill=("zero", "noise")), photos(4), [0, 1, 2, 3]
    together = hdm(images, class_logit(targets))
    for row, target in enumerate(targets):
        alone = hdm(images[row : row + 1], class_logit(target))
        assert torch.allclose(together.saliency[row], alone.saliency[0], atol=2e-3)
        assert together.steps[row].tolist() == alone.steps[0].tolist()
        assert together.forward_passes[row] == alone.forward_passes[0]


@pytest.mark.slow
def test_the_same_call_gives_the_same_map_bit_for_bit_also_from_its_settings() -> None:
    net, images = network(), photos(2)
    first = HDM(net, **QUICK, least=0.3)(images, 1)
    again = HDM(net, **first.settings)(images, 1)
    assert torch.equal(first.saliency, again.saliency)
    assert first.settings == again.settings


class Stops(nn.Module):
    """Passes through a network, and is interrupted at its n-th call."""

    def __init__(self, inner: nn.Module, calls: int) -> None:
        super().__init__()
        self.inner, self.left = inner, calls

    def forward(self, images: Tensor) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        torch.rand(3)
        return self.inner(images)


@pytest.mark.parametrize("calls", [9, 20])
def test_the_network_is_put_back_after_an_interruption(calls: int) -> None:
    net = Stops(network(), calls)
    net.inner[1].eval()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    flags, state = [module.training for module in net.modules()], torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        HDM(net, **QUICK)(photos(1), 1)
    assert flags == [module.training for module in net.modules()]
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("joint", [True, False])
def test_passes_are_those_the_network_saw_and_no_more_than_promised(joint: bool) -> None:
    net = network()
    seen = []
    net[0].register_forward_pre_hook(lambda _module, inputs: seen.append((len(inputs[0]), torch.is_grad_enabled())))
    hdm = HDM(net, **QUICK, joint=joint, batch_size=2, objective="logit")
    found = hdm(photos(3), 1)
    assert sum(count for count, _ in seen) == int(found.forward_passes.sum())
    assert sum(count for count, grad in seen if grad) == int(found.backward_passes.sum())
    assert max(count for count, _ in seen) <= 2
    promised = hdm.cost(3)
    assert int(found.forward_passes.sum()) <= promised["forward"]
    assert int(found.backward_passes.sum()) <= promised["backward"]


@pytest.mark.slow
def test_the_promised_passes_are_those_of_an_image_that_takes_all_modules() -> None:
    hdm = HDM(Either(chequered()), benchmark=3, auxiliary=12, steps=40, modules=2, patience=0)
    found = hdm(chequered(), 0)
    assert modules(found) == [2]
    assert hdm.cost(1) == {"forward": int(found.forward_passes), "backward": int(found.backward_passes)}


@pytest.mark.slow
def test_progress_counts_over_all_modules_and_can_stop_them() -> None:
    states = []
    net = Either(chequered())
    HDM(net, benchmark=3, auxiliary=12, steps=40, modules=2, patience=0)(chequered(), 0, progress=states.append)
    assert [state.step for state in states] == list(range(1, 81))
    assert {state.steps for state in states} == {80}
    seen = []

    def stop(state) -> bool:
        seen.append(state.step)
        return state.step < 3

    stopped = HDM(net, benchmark=3, auxiliary=12, steps=40)(chequered(), 0, progress=stop)
    assert seen == [1, 2, 3]
    assert modules(stopped) == [1]


def test_a_network_that_sees_nothing_takes_one_module_and_is_not_to_be_used() -> None:
    found = HDM(lambda x: x.mean(dim=(1, 2, 3), keepdim=True).flatten(1) * 0 + torch.ones(3), **QUICK)(photos(1), 1)
    assert modules(found) == [1]
    assert "no region explains the score" in found.trust.problems[0]
    assert torch.isfinite(found.saliency).all()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"modules": 0}, "modules is 0; it must be a whole number from 1"),
        ({"least": 1.5}, r"least is 1.5; it must be a number in \(0, 1\)"),
        ({"sizes": (3, 7)}, "HDM has no setting sizes"),
        ({"benchmark": (0,)}, "a grid size is a positive whole number"),
        ({"fill": "given"}, "HDM cannot use the fill 'given'"),
        ({"stepz": 3}, "there is no setting named stepz; did you mean steps"),
    ],
)
def test_bad_options_get_one_clear_sentence(options: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        HDM(network(), **options)
    assert "\n" not in str(caught.value)


def test_usual_sizes_fit_small_images_and_others_have_to() -> None:
    found = HDM(network(), steps=2)(photos(1), 1)
    assert found.settings["benchmark"] == [[3, 3], [7, 7], [14, 14]]
    assert found.settings["auxiliary"] == [[28, 28]]
    with pytest.raises(InputError, match="a grid of 50 x 50 cells is larger than the image of 32 x 40 pixels"):
        HDM(network(), auxiliary=50)(photos(1), 1)


def test_a_hole_is_filled_with_its_surroundings_only() -> None:
    image = torch.full((1, 3, 40, 40), 0.25)
    image[:, :, 10:20, 10:20] = 5.0
    gone = torch.zeros(1, 40, 40)
    gone[:, 10:20, 10:20] = 1
    assert torch.allclose(surroundings(image, gone), torch.tensor(0.25), atol=0.01)
    assert torch.isfinite(surroundings(image, torch.ones(1, 40, 40))).all()
