"""Gradient methods on networks whose attributions are known."""

import pytest
import torch
from torch import Tensor, nn

from maskstack.explainers.gradients import GradientSHAP, IntegratedGradients, SmoothGrad


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 16, 4))


def images(count: int) -> Tensor:
    return torch.randn(count, 3, 12, 16, generator=torch.Generator().manual_seed(1))


def weights(net: nn.Module, target: int) -> Tensor:
    return net[1].weight[target].detach().view(3, 12, 16)


def scaled(values: Tensor) -> Tensor:
    return (values - values.min()) / (values.max() - values.min())


def test_integrated_gradients_of_a_linear_network_are_weight_times_pixel() -> None:
    net, batch, targets = linear(), images(3), [3, 0, 1]
    found = IntegratedGradients(net, batch_size=8)(batch, targets)
    for row, target in enumerate(targets):
        wanted = (weights(net, target) * batch[row]).abs().mean(dim=0)
        assert torch.allclose(found.saliency[row, 0], scaled(wanted), atol=1e-5)


def test_integrated_gradients_of_a_square_are_its_integral() -> None:
    class Square(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x**2).sum(dim=(1, 2, 3)).unsqueeze(1).repeat(1, 2)

    batch = images(1)
    found = IntegratedGradients(Square(), steps=5)(batch, 0)  # Gauss-Legendre is exact for a gradient of degree 1
    assert torch.allclose(found.saliency[0, 0], scaled((batch[0] ** 2).mean(dim=0)), atol=1e-5)


def test_smoothgrad_without_noise_is_the_gradient() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 10 * 14, 4))
    batch = images(2).requires_grad_(True)
    (gradient,) = torch.autograd.grad(net(batch)[[0, 1], [2, 3]].sum(), [batch])
    found = SmoothGrad(net, samples=3, noise=0.0)(batch.detach(), [2, 3])
    for row in range(2):
        assert torch.allclose(found.saliency[row, 0], scaled(gradient[row].abs().mean(dim=0)), atol=1e-5)


def test_smoothgrad_averages_gradients_before_their_size_is_taken() -> None:
    """The gradient of |x| at 0 has either sign under noise, and its mean is nearly nothing; its size is 1."""

    class Folded(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            steady = 0.5 * x[:, :, :, 8:].sum(dim=(1, 2, 3))
            return (x[:, :, :, :8].abs().sum(dim=(1, 2, 3)) + steady).unsqueeze(1).repeat(1, 2)

    batch = torch.zeros(1, 3, 12, 16)
    batch[0, 0, 0, 15] = 1  # the range, which the noise is a share of
    found = SmoothGrad(Folded(), samples=400, noise=0.15, objective="logit", output="logits")(batch, 0).saliency[0, 0]
    assert found[:, 8:].mean() > 0.9
    assert found[:, :8].mean() < 0.2


def test_gradient_shap_of_a_linear_network_is_weight_times_the_way_from_the_mean_baseline() -> None:
    net, batch = linear(), images(1)
    # A blur of nothing leaves the image itself as the second baseline: half of the samples then give zero.
    found = GradientSHAP(net, samples=200, blur=0.0, batch_size=16)(batch, 2)
    wanted = (weights(net, 2) * batch[0]).abs().mean(dim=0)
    assert torch.allclose(found.saliency[0, 0], scaled(wanted), atol=1e-4)


@pytest.mark.parametrize("build", [IntegratedGradients, SmoothGrad, GradientSHAP])
def test_captum_has_nothing_to_warn_of(build: type, recwarn: pytest.WarningsRecorder) -> None:
    build(linear())(images(2), [0, 1])
    assert [str(warning.message) for warning in recwarn] == []
