"""The reason that is given is the true one."""

import pytest
import torch
from tests.cases.nets import IMAGES, explain, net, then
from torch import nn

from maskstack import MaskstackError, objectives, with_arguments

NET = net()
ROWS = torch.ones(3, 5)

CASES = {
    "float64 images": (lambda: (NET, IMAGES.double()), r"images are float64 but .* are float32; give images.fl"),
    "half weights": (lambda: (net().half(), IMAGES), r"images are float32 but the network's weights are float16"),
    "mixed weights": (lambda: (nn.Sequential(net()[:4], net()[4:].double()), IMAGES), "mixes data types inside"),
    "a missing input": (lambda: (then(lambda x, m, mask: m(x) * mask), IMAGES), "needs more than the images: the argu"),
    "a missing keyword": (lambda: (then(lambda x, m, *, age: m(x) * age), IMAGES), "the argument 'age' is missing"),
    "a closure over a batch": (lambda: (lambda x: NET(x) * torch.ones(3, 1)[: 2 * len(x)], IMAGES), "rows"),
    "rows that do not fit": (lambda: (with_arguments(then(lambda x, m, r: m(x) + r), ROWS), IMAGES), "3 rows for 2"),
    "a fixed batch": (lambda: (lambda x: NET(x.reshape(3, 3, 24, 24)), IMAGES), "the number of images, that it was"),
    "grey images": (lambda: (NET, IMAGES[:, :1]), "takes images of 3 channels, but these have 1"),
    "another size": (lambda: (nn.Sequential(nn.Flatten(), nn.Linear(75, 3)), IMAGES), "does not take images of shape"),
    "volumes": (lambda: (NET, IMAGES[:, :, None]), "takes B x C x H x W, but it was given"),
    "signals": (lambda: (net(dims=1), IMAGES[:, :, 0]), r"for signals B x C x L give images\.unsqueeze\(2\)"),
    "a round trip through NumPy": (
        lambda: (then(lambda x, m: m(torch.from_numpy(x.numpy()))), IMAGES), "no gradient reaches the image"),
    "no_grad inside": (lambda: (torch.no_grad()(NET.forward), IMAGES), "no gradient reaches the image"),
    "a class": (lambda: (nn.Flatten, IMAGES), r"is the class Flatten itself; make one, such as Flatten\(\)"),
    "weights alone": (lambda: (NET.state_dict(), IMAGES), r"call load_state_dict\(\)"),
    "a name": (lambda: ("timm:resnet18", IMAGES), r"load it first: maskstack\.load_model\('timm:resnet18'\)"),
    "the targets' form": (lambda: (NET, IMAGES, torch.eye(5)[:2].long()), r"target is of shape \(2, 5\); it must be a"),
    "one target too many": (lambda: (NET, IMAGES[:1], [1, 2]), "2 values of target for 1 image; give one"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_reason_is_the_true_one(case: str) -> None:
    make, sentence = CASES[case]
    with pytest.raises(MaskstackError, match=sentence) as caught:
        explain(*make())
    assert "\n" not in str(caught.value)
    assert "preprocessing makes" not in str(caught.value) or case == "another size"


def test_a_batch_of_one_can_be_fixed() -> None:
    """A network that was exported for one image gets one at a time."""
    assert explain(lambda x: NET(x.reshape(1, 3, 24, 24)), IMAGES[:1], 1).target == (1,)


def test_a_detector_that_finds_nothing() -> None:
    def detect(images):
        return torch.zeros(len(images), 1, 4), images.mean((1, 2, 3)).sigmoid()[:, None]

    found = explain(detect, target=objectives.box_score((3, 3, 9, 9), lambda output: output))
    assert "found nothing that overlaps the box" in found.trust.verdict(0).sentence


def test_a_depth_map_is_explained_over_its_own_pixels() -> None:
    mask = torch.zeros(24, 24)
    mask[2:9, 2:9] = 1
    found = explain(lambda x: x.mean(1), target=objectives.region(mask))
    torch.testing.assert_close(found.score_before, IMAGES.mean(1)[:, 2:9, 2:9].mean((1, 2)))
    with pytest.raises(MaskstackError, match="give a mask of the output's height and width"):
        explain(lambda x: x.mean(1), target=objectives.region(torch.ones(5, 5)))


def test_values_that_are_not_numbers_under_a_mask() -> None:
    found = explain(then(lambda x, m: m(x) / (x - x[:, :1, :1, :1]).abs().amax((1, 2, 3))[:, None]), target=1)
    assert "NaN or infinite during the search" in found.trust.verdict(0).sentence


def test_a_network_that_divides_by_the_spread_of_the_image_says_which_fill_to_leave_out() -> None:
    network = then(lambda x, m: m((x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True)))
    sentence = explain(network, target=1, fill=("zero", "blur", "noise")).trust.verdict(0).sentence
    assert "for the fill zero alone" in sentence
    assert "set the fill to blur and noise" in sentence
    assert explain(network, target=1, fill=("blur", "noise")).saliency.std() > 0


class BatchStatistics(nn.Module):
    """Its norm has no running statistics; or it only normalises the weights."""

    def __init__(self, *, of_weights: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.of_weights = of_weights
        self.conv, self.norm, self.head = (
            nn.Conv2d(3, 6, 5),
            nn.BatchNorm2d(6, track_running_stats=False),
            nn.Linear(6, 5),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        weight = self.conv.weight
        if self.of_weights:
            rows = nn.functional.batch_norm(weight.reshape(1, 6, -1), None, None, training=True)
            found = nn.functional.conv2d(images, rows.view_as(weight))
        else:
            found = self.norm(self.conv(images))
        return self.head(found.relu().amax((2, 3)))


@pytest.mark.parametrize("count", [1, 2])
def test_a_norm_over_the_batch_asks_for_one_image_in_a_pass(count: int) -> None:
    network, images = BatchStatistics(of_weights=False).eval(), IMAGES[:count]
    for given in (network, lambda images: network(images)):
        with pytest.raises(MaskstackError, match=r"depends on the other images in the pass, .* set batch_size=1"):
            explain(given, images, target=1)
    found = explain(network, images, target=1, batch_size=1)
    torch.testing.assert_close(found.score_before[0], network(images[:1]).softmax(1)[0, 1], rtol=1e-4, atol=1e-5)
    assert explain(BatchStatistics(of_weights=True).eval(), images, target=1).target == (1,) * count


@pytest.mark.parametrize(
    "objective",
    [
        lambda output: output.softmax(0)[:, 1],
        lambda output: output[:, 1] / output[:, 1].abs().max(),
        lambda output: output[torch.arange(len(output)), torch.tensor([1, 4])[: len(output)]],
    ],
)
def test_an_objective_that_mixes_the_images_of_a_batch(objective) -> None:
    with pytest.raises(MaskstackError, match="another value beside other images than alone; compute each value from"):
        explain(NET, target=objective)
    with pytest.raises(MaskstackError, match="another value beside other images"):
        explain(lambda images: {"scores": NET(images)}, target=lambda output: objective(output["scores"]))
