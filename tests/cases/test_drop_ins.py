"""Where another library's method stood, ours works, or says what it does not do."""

import numpy as np
import pytest
import torch
from tests.cases.nets import IMAGES, net, then

from maskstack import MDM, MDMCAM, InputError

QUICK = {"sizes": (2, 5), "steps": 3}


@pytest.mark.slow
def test_targets_of_pytorch_grad_cam() -> None:
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets", reason="grad-cam is not installed")
    for model, target in (
        (net(1), targets.BinaryClassifierOutputTarget(1)),
        (net(1), targets.BinaryClassifierOutputTarget(0)),
        (net(1), targets.RawScoresOutputTarget()),
        (net(5), targets.ClassifierOutputTarget(3)),
        (net(5), lambda output: output[1] - output[0]),
    ):
        cam = MDMCAM(model=model, target_layers=[model[0]], **QUICK)
        assert cam(input_tensor=IMAGES, targets=[target] * 2).shape == (2, 24, 24)
        assert torch.equal(cam.outputs, model(IMAGES).detach())


def test_a_box_of_a_detector_as_its_target() -> None:
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets", reason="grad-cam is not installed")

    def detect(x, _net):
        box = torch.tensor([[2.0, 2, 9, 9]])
        return [{"boxes": box, "labels": torch.tensor([1]), "scores": i[:, 2:9, 2:9].mean()[None] + 1} for i in x]

    target = targets.FasterRCNNBoxScoreTarget([1], np.array([[2.0, 2, 9, 9]]))
    assert MDMCAM(then(detect), **QUICK)(IMAGES, [target] * 2).shape == (2, 24, 24)


@pytest.mark.parametrize("option", ["aug_smooth", "eigen_smooth"])
def test_options_that_are_ignored_warn(option: str) -> None:
    with pytest.warns(UserWarning, match=f"ignores {option}"):
        MDMCAM(net(), **QUICK)(IMAGES, [1, 1], **{option: True})
    with pytest.warns(UserWarning, match="ignores use_cuda"):
        MDMCAM(net(), use_cuda=True, **QUICK)


def test_options_of_captum_that_do_not_exist() -> None:
    mdm = MDM(net(), **QUICK)
    with pytest.raises(InputError, match=r"no option 'targt'; did you mean target\?"):
        mdm.attribute(IMAGES, targt=5)
    with pytest.raises(InputError, match="no convergence delta"):
        mdm.attribute(IMAGES, target=1, return_convergence_delta=True)


def test_it_is_an_attribution_of_captum() -> None:
    captum = pytest.importorskip("captum.attr", reason="captum is not installed")
    assert isinstance(MDM(net(), **QUICK), captum.Attribution)


def test_rows_as_captum_gives_them() -> None:
    model, table = then(lambda x, m, rows: m(x) * rows), torch.tensor([[1.0], [5.0]])
    mdm = MDM(model, **QUICK)
    both = mdm.attribute(IMAGES, target=1, additional_forward_args=(table,))
    one = mdm.attribute(IMAGES[1:], target=1, additional_forward_args=table[1:])
    torch.testing.assert_close(both[1:], one, atol=1e-4, rtol=0)
    with pytest.raises(InputError, match="has 3 rows for 2 images"):
        mdm.attribute(IMAGES, target=1, additional_forward_args=torch.ones(3, 1))
