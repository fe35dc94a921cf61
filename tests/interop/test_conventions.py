"""MDM in the calling conventions of Captum, Quantus and pytorch-grad-cam, under those libraries themselves."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from maskstack import MDM, MDMCAM, InputError, ModelError, explain_func
from maskstack.interop.grad_cam import _objective
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


@pytest.mark.slow
def test_attribute_takes_captums_baselines_and_forward_args(network, images) -> None:
    mdm = MDM(network, **QUICK, fill="zero")
    plain = mdm.attribute(images, target=1)
    assert torch.equal(mdm.attribute(images, baselines=0.0, target=1), plain)
    assert not torch.equal(mdm.attribute(images, baselines=images.flip(-1), target=1), plain)
    scaled = MDM(lambda x, factor: network(x * factor), **QUICK, fill="zero")
    assert torch.equal(scaled.attribute(images, target=1, additional_forward_args=1.0), plain)
    with pytest.raises(InputError, match="has several indices per image"):
        mdm.attribute(images, target=(1, 2))


@pytest.mark.slow
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


@pytest.mark.slow
def test_explain_func_takes_arrays_of_any_type(network, images) -> None:
    single = explain_func(network, images.numpy(), [0, 1, 2], **QUICK)
    assert np.array_equal(explain_func(network, images.numpy().astype(np.float64), [0, 1, 2], **QUICK), single)


def test_explain_func_names_options_that_it_does_not_know(network, images) -> None:
    with pytest.warns(UserWarning, match=r"ignores presett, which MDM does not have; did you mean preset\?"):
        explain_func(network, images.numpy(), [0, 1, 2], presett="fast", **QUICK)


@pytest.mark.slow
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


@pytest.mark.slow
def test_captum_takes_it_for_an_attribution(network, images) -> None:
    captum = pytest.importorskip("captum.attr", reason="captum is not installed")
    mdm = MDM(network, **QUICK)
    assert isinstance(mdm, captum.Attribution)
    assert isinstance(mdm, MDM)
    assert type(mdm) is MDM
    assert not isinstance(mdm, captum.IntegratedGradients)
    for other in (pickle.loads(pickle.dumps(mdm)), copy.copy(mdm), copy.deepcopy(mdm)):
        assert type(other) is MDM
        assert torch.equal(other.attribute(images, target=1), mdm.attribute(images, target=1))


@pytest.mark.slow
def test_captum_is_not_imported_for_it() -> None:
    code = "import sys, torch, maskstack; maskstack.MDM(torch.nn.Flatten()); sys.exit('captum' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_options_of_attribute_are_errors(network, images) -> None:
    mdm = MDM(network, **QUICK)
    with pytest.raises(InputError, match=r"no option 'targt'; did you mean target\?"):
        mdm.attribute(images, targt=5)
    with pytest.raises(InputError, match="no convergence delta"):
        mdm.attribute((images,), target=1, return_convergence_delta=True)
    mdm.attribute(images, target=1, return_convergence_delta=False, show_progress=True)


class OneOutput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 1))

    def forward(self, inputs):
        return self.net(inputs)


class Segmenter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, inputs):
        return {"out": self.net(inputs), "aux": self.net(inputs)}


class Detector(nn.Module):
    """Boxes at fixed places, scored by the brightness inside; nothing is found in a dark image."""

    def forward(self, inputs):
        found = []
        for image in inputs:
            boxes = torch.tensor([[2.0, 2, 10, 10], [12.0, 12, 22, 22]])
            scores = torch.stack([image[:, 2:10, 2:10].mean(), image[:, 12:22, 12:22].mean()])
            keep = scores > 0.3
            found.append({"boxes": boxes[keep], "labels": torch.tensor([1, 2])[keep], "scores": scores[keep]})
        return found


@pytest.mark.slow
def test_every_target_of_pytorch_grad_cam(network, images) -> None:
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets", reason="grad-cam is not installed")
    mask = np.zeros((24, 24), np.float32)
    mask[4:9, 5:11] = 1
    boxes = np.array([[2.0, 2, 10, 10], [12.0, 12, 22, 22]])
    cases = {
        "ClassifierOutputTarget": (network, targets.ClassifierOutputTarget(2)),
        "ClassifierOutputSoftmaxTarget": (network, targets.ClassifierOutputSoftmaxTarget(2)),
        "ClassifierOutputReST": (network, getattr(targets, "ClassifierOutputReST", targets.ClassifierOutputTarget)(2)),
        "BinaryClassifierOutputTarget": (OneOutput(), targets.BinaryClassifierOutputTarget(0)),
        "SoftmaxOutputTarget": (OneOutput(), targets.SoftmaxOutputTarget()),
        "RawScoresOutputTarget": (OneOutput(), targets.RawScoresOutputTarget()),
        "SemanticSegmentationTarget": (Segmenter(), targets.SemanticSegmentationTarget(1, mask)),
        "FasterRCNNBoxScoreTarget": (Detector(), targets.FasterRCNNBoxScoreTarget([1, 2], boxes)),
    }
    if hasattr(targets, "FinerWeightedTarget"):
        cases["FinerWeightedTarget"] = (network, targets.FinerWeightedTarget(0, [1, 2], 0.5))
    known = [name for name, kind in vars(targets).items() if isinstance(kind, type)]
    assert set(known) <= set(cases), "pytorch-grad-cam has a target that is not tried here"
    for name, (model, target) in cases.items():
        model.eval()
        cam = MDMCAM(model, **{**QUICK, "consistency": "one_sided"})
        maps = cam(input_tensor=images, targets=[target] * 3)
        assert maps.shape == (3, 24, 24), name
        assert np.isfinite(maps).all(), name
        output = cam.outputs
        row = output[0] if isinstance(output, list) else output["out"][0] if isinstance(output, dict) else output[0]
        expected = float(torch.as_tensor(target(row)).sum())
        score = cam.mdm(images, _objective([target] * 3, 3)).score_before[0]
        assert float(score) == pytest.approx(expected, rel=1e-4), name


def test_the_opposite_class_of_a_single_output_has_the_opposite_score(images) -> None:
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets", reason="grad-cam is not installed")
    mdm = MDM(OneOutput().eval(), **QUICK)
    both = [
        mdm(images, _objective([targets.BinaryClassifierOutputTarget(kind)] * 3, 3)).score_before for kind in (0, 1)
    ]
    torch.testing.assert_close(both[0], -both[1])


@pytest.mark.slow
def test_class_indices_are_targets_and_unknown_keywords_warn(network, images) -> None:
    cam = MDMCAM(network, **QUICK)
    expected = cam(images, targets=[lambda row: row[1]] * 3)
    for targets in ([1, 1, 1], (1, 1, 1), torch.tensor([1, 1, 1]), np.array([1, 1, 1]), 1):
        np.testing.assert_allclose(cam(images, targets), expected, atol=1e-5)
    assert torch.equal(cam.outputs, network(images).detach())
    with pytest.warns(UserWarning, match="ignores aug_smooth, eigen_smooth, use_gpu"):
        cam(images, [1, 1, 1], aug_smooth=True, eigen_smooth=True, use_gpu=True)
    with pytest.warns(UserWarning, match="ignores use_cuda"):
        MDMCAM(network, use_cuda=True, **QUICK)
    with pytest.raises(ModelError, match="gave 5 numbers for an image"):
        cam(images, targets=[lambda row: row] * 3)
    with pytest.raises(InputError, match="give one kind"):
        cam(images, targets=["a", "b", "c"])
