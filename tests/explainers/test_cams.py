"""The class activation maps: what they are, what they cost, and what they leave behind."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.explainers.cam_network import CLASSES, network
from tests.small import photos
from torch import Tensor, nn
from torch.nn import functional

from maskstack import load_model
from maskstack.errors import ModelError
from maskstack.explainers.cam.cam import CAM, KINDS
from maskstack.objectives import class_logit

SIZE = (32, 48)

pytest.importorskip("pytorch_grad_cam")
timm = pytest.importorskip("timm")


def by_hand(kind: str, net: nn.Sequential, image: Tensor, target: int) -> Tensor:
    """The map of layer ``1`` as the papers write it: h x w, before scaling."""

    def score(images: Tensor) -> Tensor:
        return net.eval()(images)[:, target].detach()

    A = net.eval()[:2](image).detach().requires_grad_()
    (G,) = torch.autograd.grad(net[2:](A)[0, target], A)
    a, g = A[0].detach(), G[0]
    if kind == "eigencam":
        points = a.flatten(1).T - a.flatten(1).T.mean(dim=0)
        first = points @ torch.linalg.svd(points).Vh[0]
        like = first @ (points.mean(dim=1))
        return (first * like.sign()).reshape(a.shape[1:]).relu()
    if kind == "gradcam":
        weights = g.mean(dim=(1, 2))
    elif kind == "gradcam++":
        alpha = g**2 / (2 * g**2 + a.sum(dim=(1, 2), keepdim=True) * g**3 + 1e-6)
        weights = (alpha * g.relu()).sum(dim=(1, 2))
    elif kind == "xgradcam":
        weights = (g * a).sum(dim=(1, 2)) / (a.sum(dim=(1, 2)) + 1e-7)
    elif kind == "scorecam":
        large = functional.interpolate(a[None], size=image.shape[2:], mode="bilinear", align_corners=True)[0]
        low, high = large.amin(dim=(1, 2), keepdim=True), large.amax(dim=(1, 2), keepdim=True)
        weights = score(image * ((large - low) / (high - low + 1e-8)).unsqueeze(1)).softmax(dim=0)
    elif kind == "ablationcam":
        without = torch.stack([a * (torch.arange(len(a)) != k)[:, None, None] for k in range(len(a))])
        whole = score(image)
        weights = (whole - net[2:](without)[:, target].detach()) / whole
    else:
        weights = {"hirescam": g, "layercam": g.relu()}[kind]
    return (weights.reshape(len(a), *(weights.shape[1:] or (1, 1))) * a).sum(dim=0).relu()


def ranks(values: Tensor) -> np.ndarray:
    return values.flatten().double().argsort().argsort().numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_each_map_is_the_one_its_paper_writes(kind: str) -> None:
    net, image = network(), photos(1, SIZE)
    found = CAM(net, kind=kind, layer="1")(image, 3)
    expected = by_hand(kind, net, image, 3)
    assert (found.method, found.objective, found.target) == (kind, "class_logit", (3,))
    assert found.grids[0].shape == (1, 8, 12)
    assert torch.allclose(found.grids[0][0], expected, rtol=1e-3, atol=1e-5)
    large = functional.interpolate(expected[None, None], size=(32, 48), mode="bilinear")[0, 0]
    assert np.corrcoef(ranks(large), ranks(found.saliency[0, 0]))[0, 1] > 0.999
    assert (float(found.saliency.amin()), float(found.saliency.amax())) == (0, 1)
    assert found.trust.problems == (None,)


def test_activations_are_those_of_the_layer_though_the_next_one_works_in_place() -> None:
    net, image = network().eval(), photos(1, SIZE)
    found = CAM(net, layer="1.0")(image, 2)
    A = net[1][0](net[0](image)).detach().requires_grad_()
    (G,) = torch.autograd.grad(net[2:](A.relu())[0, 2], A)
    expected = (G.mean(dim=(2, 3), keepdim=True) * A).sum(dim=1).relu().detach()
    assert torch.allclose(found.grids[0], expected, atol=1e-6)


def tiny_vit() -> nn.Module:
    torch.manual_seed(0)
    return timm.models.VisionTransformer(
        img_size=(32, 48), patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=CLASSES, reg_tokens=1
    )


def tiny_swin() -> nn.Module:
    torch.manual_seed(0)
    return timm.models.SwinTransformer(
        img_size=(32, 48), patch_size=4, embed_dim=12, depths=(1, 2), num_heads=(2, 2), window_size=4, num_classes=5
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {"cnn": network, "vit": tiny_vit, "swin": tiny_swin}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["cnn", "vit", pytest.param("swin", marks=pytest.mark.slow)])
def test_a_batch_gives_what_its_images_give_alone(name: str, kind: str) -> None:
    net, images, targets = NETWORKS[name](), photos(3, SIZE), [0, 4, 2]
    cam = CAM(net, kind=kind, batch_size=2)
    together = cam(images, class_logit(targets))
    for row, target in enumerate(targets):
        alone = cam(images[row : row + 1], target)
        assert torch.allclose(together.grids[0][row], alone.grids[0][0], atol=1e-5, rtol=1e-4)
        assert torch.allclose(together.saliency[row], alone.saliency[0], atol=1e-4)
    assert together.saliency.shape == (3, 1, 32, 48)
    assert together.grids[0].shape[1:] == {"cnn": (8, 12), "vit": (4, 6), "swin": (4, 6)}[name]
    assert together.notes["grid"] == {"cnn": "8 x 12", "vit": "4 x 6", "swin": "4 x 6"}[name]


BIG = ("resnet10t", "convnext_atto", "torchvision squeezenet1_1", "torchvision resnet18")


@pytest.mark.slow
@pytest.mark.parametrize("name", BIG)
def test_usual_networks_are_read_without_a_word(name: str) -> None:
    torch.manual_seed(0)
    if name.startswith("torchvision"):
        torchvision = pytest.importorskip("torchvision")
        net = getattr(torchvision.models, name.split()[1])(weights=None)
    else:
        net = timm.create_model(name)
    for kind in ("gradcam", "layercam", "eigencam"):
        found = CAM(net, kind=kind)(photos(1, (96, 128)))
        assert found.saliency.shape == (1, 1, 96, 128)
        assert torch.isfinite(found.saliency).all()
        assert found.forward_passes.tolist() == [4]


@pytest.mark.slow
def test_the_bundled_network_sees_the_helmet() -> None:
    data = pytest.importorskip("skimage.data")
    from PIL import Image

    loaded = load_model("bundled")
    image = loaded.preprocess(Image.fromarray(data.astronaut())).unsqueeze(0)
    cam = CAM(loaded)
    found = cam(image)
    assert found.target_name == ("football helmet",)
    peak = divmod(int(found.saliency[0, 0].argmax()), 224)
    assert peak[0] > 140, "the helmet is at the bottom right"
    assert peak[1] > 110, "the helmet is at the bottom right"
    assert CAM(loaded, kind="scorecam").cost(2)["forward"] == 2 * (3 + 1280) + 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["scorecam", "ablationcam"])
def test_the_batch_size_does_not_change_the_map_and_nothing_is_printed(
    kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for net in (network(), tiny_vit(), tiny_swin()):
        small, large = (CAM(net, kind=kind, batch_size=size)(photos(2, SIZE), 1) for size in (1, 7))
        assert torch.allclose(small.grids[0], large.grids[0], rtol=1e-3, atol=1e-6)
    assert capfd.readouterr() == ("", "")
    import pytorch_grad_cam.score_cam
    import tqdm

    assert pytorch_grad_cam.score_cam.tqdm is tqdm


@pytest.mark.parametrize("kind", ["gradcam", "eigencam", "scorecam", "ablationcam"])
def test_half_precision_networks_are_explained_in_their_own_type(kind: str) -> None:
    found = CAM(network().to(torch.bfloat16), kind=kind)(photos(1, SIZE).to(torch.bfloat16), 3)
    assert found.saliency.dtype == torch.float32
    assert float(found.saliency.amax()) == 1


class Weightless(nn.Module):
    """Shows where red is, with no parameter at all."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.head = nn.AvgPool2d(8), nn.AdaptiveAvgPool2d(1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.pool(images)).flatten(1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_map_is_high_where_the_evidence_is(kind: str) -> None:
    image = torch.full((1, 3, 64, 96), 0.1)
    image[:, 0, 8:24, 64:88] = 1
    found = CAM(Weightless(), kind=kind, layer="pool")(image, 0)
    assert float(found.grids[0][0, 1:3, 8:11].amin()) > 0
    assert float(found.saliency[0, 0, 8:24, 64:88].mean()) > 0.75
    assert float(found.saliency[0, 0, 40:].amax()) < 0.15


def test_a_layer_behind_which_no_gradient_comes_back_is_named() -> None:
    class Cut(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.detach()

    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.other = network(), nn.Conv2d(3, 4, 1)

        def forward(self, images: Tensor) -> Tensor:
            self.other(images)
            return self.net(images)

    layers = list(network())
    with pytest.raises(ModelError, match="the score has no gradient at the layer 1"):
        CAM(nn.Sequential(*layers[:2], Cut(), *layers[2:]), layer="1")(photos(1, SIZE), 1)
    with pytest.raises(ModelError, match="the score has no gradient at the layer other"):
        CAM(Aside(), layer="other")(photos(1, SIZE), 1)
    CAM(nn.Sequential(*layers[:2], Cut(), *layers[2:]), kind="scorecam", layer="1")(photos(1, SIZE), 1)


def test_a_map_without_masks_is_drawn_in_one_row() -> None:
    found = CAM(network(), class_names=[f"thing {index}" for index in range(CLASSES)])(photos(2, SIZE), 2)
    photo = np.zeros((32, 48, 3), dtype=np.uint8)
    figure = found.plot(photo, row=1)
    titles = [title for image in figure.axes[0].images if not (title := image.get_label()).startswith("_")]
    assert titles[0] == "photo"
    assert titles[1].startswith("strongest part: ")
    assert titles[2:] == ["strongest part alone", "map"]
    score = f"thing 2: logit {float(found.score_before[1]):.3g}"
    assert score in [text.get_text() for text in figure.axes[0].texts]


def test_the_settings_make_the_map_again() -> None:
    net, images = network(), photos(1, SIZE)
    first = CAM(net, layer=net[1], kind="layercam")(images, 1)
    assert first.settings == {"kind": "layercam", "layer": "1", "objective": "logit", "batch_size": 32}
    assert torch.equal(CAM(net, **first.settings)(images, 1).saliency, first.saliency)
