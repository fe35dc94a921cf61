"""Hiding methods on networks whose answer is known."""

import pytest
import torch
from torch import Tensor, nn

from maskstack.explainers.perturbations import LIME, KernelSHAP, Occlusion, superpixels
from maskstack.objectives import class_logit


class Weighted(nn.Module):
    """Two linear answers: what each pixel is worth is known."""

    def __init__(self) -> None:
        super().__init__()
        weights = torch.randn(2, 3, 30, 44, generator=torch.Generator().manual_seed(3))
        self.weights = nn.Parameter(nn.functional.avg_pool2d(weights, 5, stride=1, padding=2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bchw,kchw->bk", x, self.weights)


def images(count: int) -> Tensor:
    images = torch.randn(count, 3, 30, 44, generator=torch.Generator().manual_seed(1))
    return nn.functional.avg_pool2d(images, 5, stride=1, padding=2) * 4


def scaled(values: Tensor) -> Tensor:
    return (values - values.min()) / (values.max() - values.min())


@pytest.mark.parametrize(("window", "stride"), [(8, 4), (7, 5), (40, 4), (6, 9)])
def test_occlusion_equals_a_loop_by_hand(window: int, stride: int) -> None:
    net, batch, targets = Weighted(), images(2), [1, 0]
    found = Occlusion(net, window=window, stride=stride, batch_size=5)(batch, class_logit(targets))
    high, step = min(window, 30), min(stride, window)
    for row, target in enumerate(targets):
        image = batch[row : row + 1]
        whole = net(image)[0, target]
        fall, seen = torch.zeros(30, 44), torch.zeros(30, 44)
        for top in range(0, 30 - high + step, step):
            for left in range(0, 44 - min(window, 44) + step, step):
                hidden = image.clone()
                part = (slice(top, top + high), slice(left, left + window))
                hidden[:, :, *part] = 0
                fall[part] += (whole - net(hidden)[0, target]).detach()
                seen[part] += 1
        assert torch.allclose(found.saliency[row, 0], scaled(fall / seen), atol=1e-4)


def test_kernel_shap_of_an_additive_network_is_exact() -> None:
    net, batch, targets = Weighted(), images(2), [1, 0]
    found = KernelSHAP(net, samples=120, segments=12)(batch, class_logit(targets))
    for row, target in enumerate(targets):
        regions = superpixels(batch[row], 12)
        worth = (net.weights[target].detach() * batch[row]).sum(dim=0)
        exact = torch.zeros(int(regions.max()) + 1).index_add_(0, regions.flatten(), worth.flatten())
        assert torch.allclose(found.saliency[row, 0], scaled(exact[regions]), atol=1e-2)


def test_lime_of_an_additive_network_is_nearly_exact_and_far_from_zero() -> None:
    net, batch = Weighted(), images(1)
    found = LIME(net, samples=300, segments=12, ridge=0.01)(batch, class_logit(1))
    regions = superpixels(batch[0], 12)
    worth = (net.weights[1].detach() * batch[0]).sum(dim=0)
    exact = torch.zeros(int(regions.max()) + 1).index_add_(0, regions.flatten(), worth.flatten())
    assert torch.allclose(found.saliency[0, 0], scaled(exact[regions]), atol=0.03)


def test_lime_weighs_what_is_nearly_whole_more() -> None:
    lime = LIME(Weighted())
    shown = torch.tensor([[1, 1, 1, 1]]), torch.tensor([[1, 1, 0, 0]]), torch.tensor([[0, 0, 0, 0]])
    whole, half, none = (float(lime._closeness(images(1), images(1), some)) for some in shown)
    assert whole == 1
    assert half == pytest.approx(0.5034, abs=1e-3)  # sqrt(exp(-(1 - sqrt(1/2))^2 / 0.25^2))
    assert none < 1e-3


def test_superpixels_number_every_pixel_without_gaps_and_follow_colours() -> None:
    image = torch.full((3, 40, 60), -1.5)
    image[:, 12:30, 20:47] = 2.0
    regions = superpixels(image, 40)
    assert regions.shape == (40, 60)
    assert regions.unique().tolist() == list(range(int(regions.max()) + 1))
    assert 20 <= int(regions.max()) + 1 <= 60
    inside = torch.zeros(40, 60, dtype=torch.bool)
    inside[12:30, 20:47] = True
    crossing = sum(
        min(int((inside & (regions == n)).sum()), int((~inside & (regions == n)).sum()))
        for n in range(int(regions.max()) + 1)
    )
    assert crossing < 0.03 * 40 * 60


def test_superpixels_do_not_depend_on_the_normalisation() -> None:
    image = images(1)[0]
    assert torch.equal(superpixels(image, 20), superpixels(image * 7.0 + 3.0, 20))


def test_an_image_of_one_region_is_no_error() -> None:
    assert KernelSHAP(Weighted(), samples=5, segments=2)(torch.zeros(1, 3, 30, 44), 0).saliency.shape == (1, 1, 30, 44)


@pytest.mark.parametrize("build", [Occlusion, LIME, KernelSHAP])
def test_captum_has_nothing_to_warn_of(build: type, recwarn: pytest.WarningsRecorder) -> None:
    options = {} if build is Occlusion else {"samples": 40, "segments": 9}
    build(Weighted(), **options)(images(2), [0, 1])
    assert [str(warning.message) for warning in recwarn] == []
