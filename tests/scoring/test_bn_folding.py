"""Folding batch norms on a private view: the same answers and maps, and nothing of it on the user's network."""

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from maskstack import MDM, load_model
from maskstack.scoring.bn_folding import PairFinder, View, agree
from maskstack.scoring.prepared import PreparedModel
from maskstack.scoring.untouched import untouched
from maskstack.speed import Way

QUICK = {"sizes": (2, 5), "steps": 6}


def lived_in(net: nn.Module) -> nn.Module:
    """Give batch norms statistics and weights that cannot be left out unnoticed."""
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return net


class Small(nn.Module):
    """A convolution, a norm and a head, and a way between the first two that subclasses change."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.other = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 4)
        lived_in(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(functional.gelu(self.body(images)).mean(dim=(2, 3)))

    def body(self, images: Tensor) -> Tensor:
        return self.norm(self.conv(images))


def photos(count: int, side: int = 32) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def after_prediction(net: Callable[[Tensor], object], images: Tensor) -> PreparedModel:
    """A network that folds, after its prediction for these images and the first pass that follows."""
    network = PreparedModel(net, way=Way(fold=True))
    with torch.no_grad():
        network.first(images)
        network(images)
    return network


LIBRARY = {
    "timm resnet18": ("timm", "resnet18", 64, 20, 20),
    "timm efficientnet_b0, activation in its norms": ("timm", "efficientnet_b0", 64, 49, 81),
    "timm tf_efficientnet_lite0, convolutions of its own": ("timm", "tf_efficientnet_lite0", 64, 49, 49),
    "torchvision resnet18": ("torchvision", "resnet18", 64, 20, 20),
    "torchvision mobilenet_v3_small": ("torchvision", "mobilenet_v3_small", 64, 34, 52),
    "torchvision googlenet, whose heads beside are not run": ("torchvision", "googlenet", 64, 57, 59),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARY)
def test_networks_of_the_libraries_are_folded_and_answer_the_same(name: str) -> None:
    library, kind, side, folded, convolutions = LIBRARY[name]
    package = pytest.importorskip(library)
    more = {"init_weights": False} if kind == "googlenet" else {}
    net = package.create_model(kind) if library == "timm" else package.models.get_model(kind, **more)
    assert sum(isinstance(module, nn.Conv2d) for module in net.modules()) == convolutions
    lived_in(net)
    with untouched(net), torch.no_grad():
        network = after_prediction(net, photos(2, side))
        assert network.folded == folded
        for count in (1, 2, 5):
            assert agree(network(photos(count, side)), net(photos(count, side)), tolerance=1e-4)


@pytest.mark.slow
def test_the_bundled_network_is_folded_whole() -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    net = load_model("bundled").model
    with untouched(net), torch.no_grad():
        assert after_prediction(net, photos(1, 224)).folded == 49


def test_gradients_to_the_image_are_the_same() -> None:
    net, images = Small(), photos(2).requires_grad_(True)
    with untouched(net):
        network = after_prediction(net, images.detach())
        assert network.folded == 1
        folded, plain = (torch.autograd.grad(run(images)[:, 1].sum(), images)[0] for run in (network, net))
    assert torch.allclose(folded, plain, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_maps_agree_and_the_explanation_says_what_was_done(training: bool) -> None:
    net, images = Small().train(training), photos(2)
    folded, plain = (MDM(net, **QUICK, speed=speed)(images, 1) for speed in ("auto", "plain"))
    assert torch.allclose(folded.score_before, net.eval()(images).softmax(dim=1)[:, 1], atol=1e-5)
    assert (folded.passes_run, plain.passes_run) == (
        "fp32, channels last, 1 convolutions folded",
        "fp32",
    )
    assert folded.forward_passes.tolist() == plain.forward_passes.tolist()
    for one, other in zip(folded.saliency, plain.saliency, strict=True):
        ranks = torch.stack([each.flatten().argsort().argsort().double() for each in (one, other)])
        assert torch.corrcoef(ranks)[0, 1] >= 0.99


def look(net: nn.Module) -> list[object]:
    """All that can be changed about a network, tensors by their identity, version and place."""
    seen: list[object] = []
    for name, module in net.named_modules():
        seen += [name, id(module), type(module)]
        for key, value in vars(module).items():
            seen += [key, list(value.items()) if isinstance(value, dict) and "hook" in key else id(value)]
    for tensor in (*net.parameters(), *net.buffers()):
        seen += [id(tensor), tensor.data_ptr(), tensor.requires_grad, tensor.grad, tensor.detach().clone().tolist()]
    return seen


class Stops(Small):
    def body(self, images: Tensor) -> Tensor:
        if images.requires_grad:
            raise KeyboardInterrupt
        return super().body(images)


def test_nothing_changes_about_the_network() -> None:
    net = Small()
    before = look(net)
    MDM(net, **QUICK)(photos(2), 1)
    assert look(net) == before


def test_nothing_changes_about_the_network_when_the_search_is_interrupted() -> None:
    net = Stops()
    before = look(net)
    with pytest.raises(KeyboardInterrupt):
        MDM(net, **QUICK)(photos(2), 1)
    assert look(net) == before


def test_only_folded_convolutions_have_weights_of_their_own_and_they_go_at_once() -> None:
    net = lived_in(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 3), nn.Flatten()))
    with untouched(net), torch.no_grad():
        finder = PairFinder(net)
        with finder:
            net(photos(1))
        view = View(net, finder.pairs(), layout=torch.contiguous_format)
    assert view.model[2].weight is net[2].weight
    assert {id(tensor) for tensor in view.model.parameters()} & {id(net[0].weight), id(net[1].weight)} == set()
    gone = weakref.ref(view.model[0].weight)
    gc.disable()
    try:
        del view
        assert gone() is None, "the weights wait for the garbage collector"
    finally:
        gc.enable()


class Remembers(Small):
    last: Tensor | None = None

    def body(self, images: Tensor) -> Tensor:
        self.last = super().body(images)
        self.extra = nn.Identity()
        return self.last


def test_what_the_code_sets_on_itself_stays_on_the_view() -> None:
    net = Remembers()
    with untouched(net), torch.no_grad():
        network = after_prediction(net, photos(2))
        before = net.last
        network(photos(3))
        assert network.folded == 1
        assert net.last is before
    assert net.last is None


def test_changed_weights_are_noticed_by_the_next_call() -> None:
    net, images = Small().eval(), photos(1)
    mdm = MDM(net, **QUICK)
    mdm(images, 1)
    with torch.no_grad():
        net.norm.running_mean += 1
        net.conv.weight.data.mul_(2)  # which no version of the tensor counts
    assert torch.allclose(mdm(images, 1).score_before, net(images).softmax(dim=1)[:, 1], atol=1e-5)


@pytest.mark.slow
def test_a_network_with_a_hook_runs_as_it_is_and_the_hook_sees_every_pass() -> None:
    for place in ("conv", "norm", "head"):
        net, seen = Small().eval(), []
        getattr(net, place).register_forward_hook(lambda _m, _i, output, seen=seen: seen.append(len(output)))
        found = MDM(net, **QUICK)(photos(2), 1)
        assert "folded" not in found.passes_run
        assert sum(seen) == int(found.forward_passes.sum())


class DataDependent(Small):
    """Cannot be traced: its way depends on values."""

    def body(self, images: Tensor) -> Tensor:
        features = super().body(images)
        return features if images.mean() > 0 else features * 3


class NormByData(Small):
    def body(self, images: Tensor) -> Tensor:
        norm = self.norm if images.mean() > 0 else self.other
        return norm(self.conv(images))


class NormByBatch(Small):
    def body(self, images: Tensor) -> Tensor:
        norm = self.norm if len(images) < 4 else self.other
        return norm(self.conv(images))


class NormSkippedByBatch(Small):
    def body(self, images: Tensor) -> Tensor:
        features = self.conv(images)
        return self.norm(features) if len(images) < 4 else features


class ViewsByBatch(Small):
    def body(self, images: Tensor) -> Tensor:
        batch, height = images.shape[0], images.shape[2]
        return super().body(images.view(batch * 3, -1).view(batch, 3, height, -1)).reshape(batch, 6, height - 2, -1)


@pytest.mark.parametrize("kind", [DataDependent, NormByData, NormByBatch, NormSkippedByBatch, ViewsByBatch])
def test_control_flow_goes_its_own_way_in_every_pass(kind: type[Small]) -> None:
    net = kind()
    with untouched(net), torch.no_grad():
        network = after_prediction(net, photos(1).abs())
        assert network.folded == 1
        for count in (1, 2, 7, 64):
            for images in (photos(count).abs(), -photos(count).abs()):
                assert agree(network(images), net(images), tolerance=1e-5)
    assert network.folded == (0 if kind.__name__.startswith("Norm") else 1)


class UsedTwice(Small):
    def body(self, images: Tensor) -> Tensor:
        features = self.conv(images)
        return self.norm(features) + features


class CalledTwice(Small):
    def body(self, images: Tensor) -> Tensor:
        return super().body(images) + super().body(images.flip(-1))


class InPlace(Small):
    def body(self, images: Tensor) -> Tensor:
        return self.norm(self.conv(images).relu_())


class Standardised(nn.Conv2d):
    def forward(self, images: Tensor) -> Tensor:
        return functional.conv2d(images, functional.normalize(self.weight, dim=1), self.bias)


class OwnKinds(Small):
    def __init__(self) -> None:
        super().__init__()
        self.conv = Standardised(3, 6, 3)


class NoStatistics(Small):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(6, track_running_stats=False)


class Random(Small):
    def body(self, images: Tensor) -> Tensor:
        return super().body(images) + torch.randn(1)


class LooksAtItsNorm(Small):
    def body(self, images: Tensor) -> Tensor:
        return super().body(images) * self.norm.weight[0]


class GivesFeatures(Small):
    """Returns what is before the norm as well."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.conv(images)
        return self.head(self.norm(features).mean(dim=(2, 3))), features


LEFT = [UsedTwice, CalledTwice, InPlace, OwnKinds, NoStatistics, Random, LooksAtItsNorm, GivesFeatures]


@pytest.mark.parametrize("kind", LEFT)
@pytest.mark.slow
def test_what_cannot_be_folded_runs_as_it_is(kind: type[Small]) -> None:
    net, images = kind().eval(), photos(2)
    quick = {**QUICK, "batch_size": 1} if kind is NoStatistics else QUICK  # the images of a pass change each other
    found = MDM(net, **quick)(images, 1)
    assert "folded" not in found.passes_run
    if kind is not Random:
        assert torch.allclose(found.saliency, MDM(net, **quick, speed="plain")(images, 1).saliency, atol=1e-3)


@pytest.mark.slow
def test_callables_half_precision_scripted_and_exported_networks_run_as_they_are() -> None:
    net, images = Small().eval(), photos(1)
    exported = torch.export.export(net, (images,)).module()
    for model in (lambda x: net(x), torch.jit.script(nn.Sequential(net.conv, net.norm, nn.Flatten())), exported):
        assert "folded" not in MDM(model, **QUICK)(images, 1).passes_run
    half = Small().to(torch.bfloat16)
    assert MDM(half, **QUICK)(images.to(torch.bfloat16), 1).passes_run == "bf16, channels last"


def test_bf16_folds_as_well() -> None:
    found = MDM(Small(), **QUICK, speed="half")(photos(1), 1)
    assert found.passes_run == "bf16, channels last, 1 convolutions folded"


def test_outputs_agree_only_if_all_their_tensors_do() -> None:
    one = {"a": torch.tensor([1.0, -2.0]), "b": (torch.tensor([3]), None)}
    assert agree(one, {"a": torch.tensor([1.0001, -2.0]), "b": (torch.tensor([3]), None)}, tolerance=1e-3)
    assert not agree(one, {"a": torch.tensor([1.1, -2.0]), "b": (torch.tensor([3]), None)}, tolerance=1e-3)
    assert not agree(one, {"a": torch.tensor([1.0, -2.0]), "b": (torch.tensor([4]), None)}, tolerance=1e-3)
    assert not agree(one, {"a": torch.tensor([1.0, -2.0])}, tolerance=1e-3)
    assert not agree("text", "text", tolerance=1)


class NormalisesInPlace(Small):
    """Changes the images that it is given."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.sub_(0.5).div_(0.2))


@pytest.mark.parametrize("way", [Way(fold=True), Way(fold=True, channels_last=True), Way()])
def test_a_network_that_changes_its_images_gets_a_copy_in_every_pass(way: Way) -> None:
    network, images = PreparedModel(NormalisesInPlace().eval(), way=way), photos(3)
    expected = Small().eval()((images - 0.5) / 0.2)
    kept = images.clone()
    with torch.no_grad():
        answers = [network.first(images), *(network(images) for _ in range(3))]
    assert torch.equal(images, kept)
    for answer in answers:
        torch.testing.assert_close(answer, expected, rtol=1e-4, atol=1e-4)
    leaf = images.clone().requires_grad_()  # as methods by gradients give it
    network(leaf).sum().backward()
    assert leaf.grad is not None
