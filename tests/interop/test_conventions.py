"""MDM in the calling conventions of Captum, Quantus and pytorch-grad-cam, under those libraries themselves."""

import numpy as np
import pytest
import torch
from torch import nn

from maskstack import MDM, MDMCAM, InputError, explain_func
from maskstack.objectives import class_logit

QUICK = {"sizes": (2, 5), "steps": 5, "consistency": "absolute"}


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5)
    return nn.Sequential(*layers).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, 24, 24, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("target", [None, 2, [0, 1, 2], torch.tensor([0, 1, 2]), [(0,), (1,), (2,)]])
def test_attribute_has_captums_shapes(network, images, target) -> None:
    assert MDM(network, **QUICK).attribute(images, target=target).shape == images.shape


def test_attribute_takes_captums_baselines_and_forward_args(network, images) -> None:
    mdm = MDM(network, **QUICK, fill="zero")
    plain = mdm.attribute(images, target=1)
    assert torch.equal(mdm.attribute(images, baselines=0.0, target=1), plain)
    assert not torch.equal(mdm.attribute(images, baselines=images.flip(-1), target=1), plain)
    scaled = MDM(lambda x, factor: network(x * factor), **QUICK, fill="zero")
    assert torch.equal(scaled.attribute(images, target=1, additional_forward_args=1.0), plain)
    with pytest.raises(InputError, match="has several indices per image"):
        mdm.attribute(images, target=(1, 2))


def test_captums_tools_wrap_it(network, images) -> None:
    captum = pytest.importorskip("captum", reason="captum is not installed")
    from captum.attr import NoiseTunnel
    from captum.metrics import infidelity, sensitivity_max

    assert captum.__version__
    mdm = MDM(network, **QUICK)
    smooth = NoiseTunnel(mdm).attribute(images, nt_type="smoothgrad", nt_samples=3, stdevs=0.1, target=1)
    assert smooth.shape == images.shape
    assert smooth.min() >= 0
    sensitivity = sensitivity_max(mdm.attribute, images, n_perturb_samples=2, target=1)
    assert sensitivity.shape == (3,)
    assert torch.isfinite(sensitivity).all()
    noisy = lambda inputs: (torch.full_like(inputs, 0.1), inputs - 0.1)  # noqa: E731
    unfaithful = infidelity(network, noisy, images, mdm.attribute(images, target=1), target=1, n_perturb_samples=2)
    assert unfaithful.shape == (3,)


def test_quantus_calls_explain_func(network, images) -> None:
    quantus = pytest.importorskip("quantus", reason="quantus is not installed")
    metric = quantus.Sparseness(disable_warnings=True)
    values = metric(
        model=network,
        x_batch=images.numpy(),
        y_batch=np.array([0, 1, 2]),
        explain_func=explain_func,
        explain_func_kwargs=dict(QUICK),
        device="cpu",
    )
    assert len(values) == 3
    assert all(0 < value < 1 for value in values)


def test_explain_func_returns_maps_for_arrays(network, images) -> None:
    maps = explain_func(network, images.numpy(), np.array([0, 1, 2]), **QUICK, method="anything", device="cpu")
    assert maps.shape == (3, 1, 24, 24)
    assert maps.dtype == np.float32


def test_drop_in_for_pytorch_grad_cam(network, images) -> None:
    pytest.importorskip("pytorch_grad_cam", reason="grad-cam is not installed")
    from pytorch_grad_cam.utils.image import show_cam_on_image
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget, ClassifierOutputTarget

    targets = [ClassifierOutputTarget(0), ClassifierOutputTarget(1), ClassifierOutputTarget(2)]
    with MDMCAM(model=network, target_layers=[network[0]], **QUICK) as cam:
        maps = cam(input_tensor=images, targets=targets)
        predicted = cam(input_tensor=images)
        by_function = cam(input_tensor=images, targets=[lambda row: row[0], lambda row: row[1], lambda row: row[2]])
        soft = cam(input_tensor=images, targets=[ClassifierOutputSoftmaxTarget(0)] * 3)
    assert maps.shape == predicted.shape == soft.shape == (3, 24, 24)
    assert maps.dtype == np.float32
    expected = MDM(network, **QUICK)(images, class_logit([0, 1, 2])).saliency[:, 0].numpy()
    np.testing.assert_allclose(maps, expected)
    np.testing.assert_allclose(by_function, expected, atol=1e-5)
    picture = show_cam_on_image(images[0].permute(1, 2, 0).numpy(), maps[0], use_rgb=True)
    assert picture.shape == (24, 24, 3)
    with pytest.raises(InputError, match="2 targets for 3 images"):
        cam(input_tensor=images, targets=targets[:2])
