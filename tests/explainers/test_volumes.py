"""Volumes and clips, B x C x D x H x W: the whole of MDM, and a network whose decisive region is known."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from maskstack import HDM, MDM, MDMCAM, Explanation, InputError, objectives, trust
from maskstack.explainers.table import METHODS, make_explainer
from maskstack.masks.grids import Upsampler, grids_for
from maskstack.masks.losses import mask_value, total_variation
from maskstack.masks.shifts import Margined, even_shifts
from maskstack.tensors import gaussian_blur

SIDE, RADIUS = 20, 6.5
QUICK = {"sizes": (2, 4), "steps": 4}


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv3d(2, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ReLU(), nn.AdaptiveAvgPool3d(2), nn.Flatten(),
        nn.Linear(32, 3),
    ).eval()  # fmt: skip


def volumes(count: int, size: tuple[int, int, int] = (8, 12, 16), *, seed: int = 1) -> Tensor:
    return torch.randn(count, 2, *size, generator=torch.Generator().manual_seed(seed))


def ball(centre: Tensor, radius: float) -> Tensor:
    places = torch.stack(torch.meshgrid(*[torch.arange(SIDE).float()] * 3, indexing="ij"), dim=-1)
    return (places - centre).norm(dim=-1) <= radius


def scans(count: int, *, seed: int, least: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy volumes with a striped ball, which means nothing, and a bright (class 1), a dark (2) or no ball (0).

    Returns:
        Volumes, classes, and the voxels of the decisive ball.
    """
    generator = torch.Generator().manual_seed(seed)
    stripes = (torch.arange(SIDE) % 2 * 2 - 1.0).reshape(-1, 1, 1)
    images, kinds, balls = [], [], []
    for _ in range(count):
        kind = int(torch.randint(least, 3, (), generator=generator))
        decisive = ball(torch.rand(3, generator=generator) * (SIDE - 14) + 7, RADIUS)
        other = ball(torch.rand(3, generator=generator) * SIDE, 6.0) & ~decisive
        noise = 0.5 * torch.randn(SIDE, SIDE, SIDE, generator=generator)
        images.append((noise + 0.6 * (0, 1, -1)[kind] * decisive + 1.5 * other * stripes).unsqueeze(0))
        kinds.append(kind)
        balls.append(decisive)
    return torch.stack(images), torch.tensor(kinds), torch.stack(balls)


@pytest.fixture(scope="module")
def trained() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv3d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2), nn.Conv3d(8, 16, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    images, kinds, _ = scans(128, seed=0)
    for _ in range(60):
        chosen = torch.randint(0, len(images), (16,))
        optimiser.zero_grad()
        functional.cross_entropy(net(images[chosen]), kinds[chosen]).backward()
        optimiser.step()
    return net


def top_tenth_inside(maps: Tensor, region: Tensor) -> Tensor:
    """Share of each map's highest tenth of voxels that lies in the region."""
    highest = maps.flatten(1).topk(maps[0].numel() // 10, dim=1).indices
    return region.flatten(1).gather(1, highest).float().mean(dim=1)


def grad_cam(net: nn.Sequential, images: Tensor, kinds: Tensor) -> Tensor:
    features = net[:5](images).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(net[5:](features).gather(1, kinds.unsqueeze(1)).sum(), features)
    cam = (gradient.mean(dim=(2, 3, 4), keepdim=True) * features).sum(dim=1, keepdim=True).clamp_min(0)
    return functional.interpolate(cam.detach(), size=images.shape[2:], mode="trilinear")[:, 0]


@pytest.mark.slow
def test_the_map_lies_in_the_decisive_ball(trained: nn.Sequential) -> None:
    images, kinds, balls = scans(10, seed=1, least=1)
    with torch.no_grad():
        assert (trained(images).argmax(dim=1) == kinds).all()
    found = MDM(trained, preset="fast", batch_size=8)(images)
    assert found.target == tuple(kinds.tolist())
    inside = top_tenth_inside(found.saliency[:, 0], balls)
    assert (inside >= 0.9).sum() >= 9, inside
    assert top_tenth_inside(grad_cam(trained, images, kinds), balls).mean() > 0.9  # both are right here
    assert (found.score_under_stack > 0.5 * found.score_before).all()


@pytest.mark.parametrize("explainer", [MDM, HDM])
def test_the_whole_of_an_explanation(explainer: type, tmp_path) -> None:
    images = volumes(2)
    options = QUICK if explainer is MDM else {"benchmark": 2, "auxiliary": 4, "steps": 4}
    found = explainer(small_network(), **options)(images, [0, 2])
    assert found.saliency.shape == found.spread.shape == (2, 1, 8, 12, 16)
    assert found.masks.shape[2:] == (8, 12, 16)
    assert found.grids[0].ndim == 4
    assert found.area.shape == (2,)
    assert found.area_per_size.ndim == 2
    assert torch.isfinite(found.trust.kept).all() or found.trust.problems[0] is not None
    assert len(found.trust.kept) == 2
    assert found.trust.verdict(0).word
    loaded = Explanation.load(found.save(tmp_path / "volume"))
    assert torch.equal(loaded.saliency, found.saliency)
    assert len(found.summary()) == 2
    assert "<img" in found._repr_html_()
    slice_of = torch.rand(12, 16, 3).numpy()
    assert found.plot(slice_of, grids=True).axes
    assert found.overlay(slice_of).size


@pytest.mark.parametrize("preset", ["default", "fast", "paper"])
def test_presets_fit_volumes(preset: str) -> None:
    found = MDM(small_network(), preset=preset, steps=2)(volumes(1, (4, 30, 30)), 1)
    assert [list(grid.shape[1:]) for grid in found.grids] == [list(size) for size in found.settings["sizes"]]
    assert all(grid.shape[1] <= 4 for grid in found.grids)


@pytest.mark.slow
def test_company_changes_nothing() -> None:
    net, images = small_network(), volumes(3)
    together = MDM(net, **QUICK)(images, 1).saliency
    alone = torch.cat([MDM(net, **QUICK)(image.unsqueeze(0), 1).saliency for image in images])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 3])
def test_no_pass_is_larger_than_the_batch_size(batch_size: int) -> None:
    net, largest = small_network(), []

    def model(images: Tensor) -> Tensor:
        largest.append(len(images))
        return net(images)

    MDM(model, **QUICK, batch_size=batch_size)(volumes(3), 1)
    assert max(largest) == batch_size


@pytest.mark.slow
def test_captums_and_other_conventions() -> None:
    net, images = small_network(), volumes(2)
    attribution = MDM(net, **QUICK).attribute(images, baselines=0.0, target=[0, 1])
    assert attribution.shape == images.shape
    assert MDMCAM(net, **QUICK)(images, [0, 1]).shape == (2, 8, 12, 16)
    for objective in (objectives.class_logit(1), objectives.margin(1), lambda output: output[:, 0]):
        assert MDM(net, **QUICK)(images, objective).saliency.shape == (2, 1, 8, 12, 16)


@pytest.mark.parametrize("size", [(2, 3, 4), (1, 3, 4), (3, 3)])
def test_grids_of_three_numbers_are_taken_as_they_are(size: tuple[int, ...]) -> None:
    found = MDM(small_network(), sizes=(size,), steps=2)(volumes(1), 1)
    assert found.grids[0].shape[1:] == ((2, 3, 3) if len(size) == 2 else size)


@pytest.mark.parametrize("method", METHODS)
def test_other_methods_explain_volumes_or_say_that_they_do_not(method: str) -> None:
    options = {
        "hdm": "benchmark=2:auxiliary=4:steps=2", "occlusion": "window=4:stride=4", "ig": "steps=3",
        "smoothgrad": "samples=2", "gradientshap": "samples=2",
    }  # fmt: skip
    spec = (
        f"{method}:steps=2"
        if method.startswith("mdm")
        else f"{method}:{options[method]}"
        if method in options
        else method
    )
    explain = make_explainer(spec, small_network())
    if method.startswith(("mdm", "hdm")) or explain.takes_volumes:
        found = explain(volumes(2), 1)
        assert found.saliency.shape == (2, 1, 8, 12, 16)
        assert torch.isfinite(found.saliency).all()
    else:
        with pytest.raises(InputError, match=r"explains images B x C x H x W, not volumes; use mdm"):
            explain(volumes(2), 1)


def test_wrong_dimensions_are_said() -> None:
    with pytest.raises(InputError, match="is for volumes, but the images are"):
        MDM(nn.Flatten(), sizes=((2, 2, 2),))(torch.rand(1, 3, 8, 8), 1)
    with pytest.raises(InputError, match="or volumes B x C x D x H x W; add the batch"):
        MDM(nn.Flatten())(torch.rand(3, 8, 8), 1)
    with pytest.raises(InputError, match="larger than the image"):
        MDM(nn.Flatten(), sizes=((9, 2, 2),))(torch.rand(1, 3, 8, 8, 8), 1)


def test_upsampling_agrees_with_torch() -> None:
    sizes = ((2, 3, 4), (1, 5, 2))
    upsampler = Upsampler.build(sizes, (6, 9, 10), torch.device("cpu"))
    grids = torch.rand(2, 2, *upsampler.cells)
    masks = upsampler(grids, torch.tensor([[0, 1], [0, 1]]))
    expected = [
        functional.interpolate(upsampler.crop(grids[:, number], number).unsqueeze(1), size=(6, 9, 10), mode="trilinear")
        for number in range(2)
    ]
    torch.testing.assert_close(masks, torch.cat(expected, dim=1))
    torch.testing.assert_close(torch.stack(list(upsampler.each_size(grids)), dim=1), masks)
    padded = grids.clone()
    for number, size in enumerate(sizes):
        kept = torch.zeros_like(padded[:, number], dtype=torch.bool)
        kept[:, : size[0], : size[1], : size[2]] = True
        padded[:, number] = padded[:, number].masked_fill(~kept, 0)
    torch.testing.assert_close(upsampler.mean(padded), masks.mean(dim=1))


def test_depth_follows_height_and_width() -> None:
    assert grids_for([(7, 7), (28, 28)], (16, 112, 112)) == ((1, 7, 7), (4, 28, 28))
    assert grids_for([(3, 3)], (100, 20, 20)) == ((3, 3, 3),)  # never finer in depth than in height and width
    assert grids_for([(4, 6)], (30, 40)) == ((4, 6),)


def test_blur_shifts_and_losses_do_the_same_along_every_dimension() -> None:
    volume = torch.rand(1, 2, 7, 7, 7)
    turned = gaussian_blur(volume.permute(0, 1, 4, 2, 3), 1.2).permute(0, 1, 3, 4, 2)
    torch.testing.assert_close(gaussian_blur(volume, 1.2), turned, atol=1e-5, rtol=0)
    constant = torch.full((1, 1, 5, 6, 7), 3.0)
    torch.testing.assert_close(gaussian_blur(constant, 2.0), constant)
    shifts = even_shifts(200, 5, dims=3)
    assert shifts.abs().max() <= 5
    assert shifts[0].tolist() == [0, 0, 0]
    assert shifts.float().mean(dim=0).abs().max() < 0.5
    moved = Margined.around(volume, 2).view(0, (1, 0, 2))
    assert torch.equal(moved[:, :6, :, :5], volume[0, :, 1:, :, 2:])
    masks = torch.rand(2, 5, 6, 7)
    torch.testing.assert_close(mask_value(masks), masks.flatten(1).mean(dim=1))
    half = torch.zeros(1, 6, 6, 6)
    half[:, :3] = 1
    assert float(total_variation(half)) == pytest.approx(1 / 3, abs=1e-3)


@pytest.mark.slow
def test_torchvisions_video_network() -> None:
    video = pytest.importorskip("torchvision.models.video", reason="torchvision is not installed")
    torch.manual_seed(0)
    net = video.r3d_18(num_classes=5).train()
    clip = torch.randn(1, 3, 8, 32, 32)
    found = MDM(net, sizes=((2, 4, 4), 8), steps=3, members=2, batch_size=2)(clip, 1)
    assert found.saliency.shape == (1, 1, 8, 32, 32)
    assert [tuple(grid.shape[1:]) for grid in found.grids] == [(2, 4, 4), (2, 8, 8)]
    assert net.training


@pytest.mark.slow
def test_regions_contrast_and_trust_take_volumes() -> None:
    net, images = small_network(), volumes(2)
    mdm = MDM(net, sizes=(2, (2, 4, 4)), steps=3, members=1)
    alone = mdm(images, 1)
    regions = mdm.regions(images, 1, count=1)
    assert torch.equal(regions.saliency, alone.saliency)
    assert [grid.shape for grid in mdm.contrast(images, 1, 2).grids] == [grid.shape for grid in alone.grids]
    judged = trust(net, images, alone.saliency, 1)
    assert str(judged) == str(trust(net, images, alone.saliency[:, 0], 1))
