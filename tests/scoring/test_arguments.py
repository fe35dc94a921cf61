"""Rows that belong to images follow them; what cannot be split is refused at the first pass."""

from collections import OrderedDict, UserDict, namedtuple
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from tests.small import network, photos
from torch import Tensor, nn

from maskstack import HDM, MDM, MDMCAM, InputError, MaskstackError, with_arguments
from maskstack.explainers.cam import CAM
from maskstack.explainers.table import make_explainer
from maskstack.scoring import class_probabilities

QUICK = {"sizes": (2, 4), "steps": 6, "speed": "plain"}


class Beside(nn.Module):
    """A network of images and of something with a row for each image."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, images: Tensor, other: Tensor, factor: float = 1.0) -> Tensor:
        if other.ndim == 4:
            other = self.net(other)
        return self.net(images) * other * factor


def table(rows: int, seed: int = 0) -> Tensor:
    return torch.rand(rows, 5, generator=torch.Generator().manual_seed(seed)) + 0.5


@pytest.mark.slow
@pytest.mark.parametrize("rows", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["table", "pair"])
def test_each_image_gets_its_own_row(rows: int, kind: str) -> None:
    images = photos(rows, (16, 20))
    other = table(rows) if kind == "table" else photos(rows, (16, 20), seed=5)
    net = Beside().eval()
    together = MDM(net, **QUICK, batch_size=3).attribute(images, target=1, additional_forward_args=other)
    for row in range(rows):

        def alone(image: Tensor, row: int = row) -> Tensor:
            return net(image, other[row : row + 1].expand(len(image), *other.shape[1:]))

        expected = MDM(alone, **QUICK).attribute(images[row : row + 1], target=1)
        torch.testing.assert_close(together[row : row + 1], expected, atol=1e-3, rtol=0)


def test_images_that_leave_the_search_do_not_change_rows() -> None:
    images = photos(2, (16, 20))
    rows = torch.stack([torch.zeros(5), table(1)[0]])  # the first image's score is constant, so its search ends early
    net = Beside().eval()
    both = MDM(with_arguments(net, rows), **QUICK, patience=3)(images, 1)
    alone = MDM(with_arguments(net, rows[1:]), **QUICK, patience=3)(images[1:], 1)
    torch.testing.assert_close(both.saliency[1:], alone.saliency, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "method",
    [
        "hdm:benchmark=2:auxiliary=4:steps=6",
        "rise:masks=9:grid=2",
        "smoothgrad",
        "ig:steps=4",
        "gradcam",
        "scorecam",
        "ablationcam",
        "occlusion:window=8:stride=8",
        "extremal:steps=3",
    ],
)
def test_every_method_takes_them(method: str) -> None:
    images, rows, net = photos(3, (16, 20)), table(3), Beside().eval()
    together = make_explainer(method, with_arguments(net, rows))(images, 1).saliency
    alone = [
        make_explainer(method, with_arguments(net, rows[i : i + 1]))(images[i : i + 1], 1).saliency for i in range(3)
    ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-2, rtol=0)


@pytest.mark.parametrize("rows", [3, 5])
@pytest.mark.parametrize("images", [1, 2])
def test_more_rows_than_images_is_an_error(rows: int, images: int) -> None:
    net = Beside()
    with pytest.raises(InputError, match=f"has {rows} rows for {images} image"):
        MDM(net, **QUICK).attribute(photos(images), target=1, additional_forward_args=(table(rows), 2.0))
    with pytest.raises(InputError, match="argument factor has 7 rows"):
        HDM(with_arguments(net, table(images), factor=torch.ones(7, 1)), steps=2)(photos(images), 1)


@pytest.mark.parametrize(("images", "rows"), [(1, 2), (1, 4), (2, 2), (3, 3), (2, 4), (4, 2)])
@pytest.mark.parametrize("held", ["closure", "default", "attribute"])
def test_a_function_that_holds_rows_is_refused_at_the_first_pass(images: int, rows: int, held: str) -> None:
    net, other, passes = network(), table(rows), []

    class Holds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.table = net, other

        def forward(self, batch: Tensor) -> Tensor:
            passes.append(len(batch))
            return self.net(batch) * self.table

    def closure(batch: Tensor) -> Tensor:
        passes.append(len(batch))
        return net(batch) * other

    def default(batch: Tensor, beside: Tensor = other) -> Tensor:
        passes.append(len(batch))
        return net(batch) * beside

    model: Any = {"closure": closure, "default": default, "attribute": Holds()}[held]
    with pytest.raises(MaskstackError, match=r"with_arguments|outputs for") as caught:
        MDM(model, **QUICK)(photos(images), 1)
    assert "\n" not in str(caught.value)
    assert len(passes) <= images + 3


@pytest.mark.parametrize("images", [1, 2, 3, 4])
def test_what_is_the_same_for_all_images_may_be_held(images: int) -> None:
    net = network()
    mean, bank = torch.rand(3, 1, 1), torch.rand(4, 5)
    text = MDM(lambda batch: net(batch - mean) @ bank.T, **QUICK)(photos(images), 1)
    assert text.saliency.shape == (images, 1, 32, 40)
    class_probabilities(with_arguments(lambda batch, scale: net(batch) * scale, torch.ones(())), photos(images))


@pytest.mark.slow
def test_a_function_may_hold_a_nested_tensor() -> None:
    net, held = network(), torch.nested.nested_tensor([torch.ones(3), torch.ones(2)])
    images = photos(2, (16, 20))
    expected = MDM(net, **QUICK)(images, 1).saliency
    found = MDM(lambda images: net(images) * held.to_padded_tensor(1.0).mean(), **QUICK)(images, 1)
    torch.testing.assert_close(found.saliency, expected, atol=1e-3, rtol=0)


@pytest.mark.slow
def test_nested_arguments_and_arrays() -> None:
    Pair = namedtuple("Pair", "ages sizes")
    net = network()

    def model(images: Tensor, more: dict[str, Any], pair: Any, names: list[str], *, array: np.ndarray) -> Tensor:
        assert len(more["rows"][0]) == len(images) == len(array) == len(pair.ages)
        assert names == ["a", "b", "c"]
        return net(images) * more["rows"][0] + torch.as_tensor(array) + pair.ages + pair.sizes

    arguments = with_arguments(
        model,
        {"rows": [table(2)]},
        Pair(torch.ones(2, 1), torch.ones(1, 1)),
        ["a", "b", "c"],
        array=np.ones((2, 1), "f4"),
    )
    MDM(arguments, **QUICK, batch_size=3)(photos(2), 1)


@pytest.mark.slow
def test_captums_tools_expand_the_rows() -> None:
    pytest.importorskip("captum", reason="captum is not installed")
    from captum.attr import NoiseTunnel

    mdm = MDM(Beside(), **QUICK)
    found = NoiseTunnel(mdm).attribute(photos(2), nt_samples=3, target=1, additional_forward_args=table(2))
    assert found.shape == (2, 3, 32, 40)


@pytest.mark.slow
def test_check_keeps_the_rows() -> None:
    images = photos(2, (16, 20))
    mdm = MDM(with_arguments(Beside(), table(2)), **QUICK)
    checked = mdm.check(images, mdm(images, 1), seeds=2, randomize=True)
    assert torch.isfinite(checked.trust.seeds).all()


class Encoding(UserDict):
    """Like an encoding of transformers: the entries are attributes too, and it has attributes of its own."""

    def __init__(self, entries: dict, scale: float) -> None:
        super().__init__(entries)
        self.scale = scale

    def __getattr__(self, name: str) -> Any:
        try:
            return self.data[name]
        except KeyError:
            raise AttributeError(name) from None


class Entries(dict):
    """Its attributes are its entries."""

    def __init__(self, entries: dict, scale: float) -> None:
        super().__init__(entries, scale=scale)
        self.__dict__ = self


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("kind", ["gradcam", "scorecam", "ablationcam"])
def test_the_cost_of_a_method_is_known_with_arguments_too(kind: str, rows: int) -> None:
    pytest.importorskip("pytorch_grad_cam", reason="the extra 'rivals' is not installed")
    images, net = photos(3, (16, 20)), Beside().eval()
    cam = CAM(with_arguments(net, table(rows), factor=torch.tensor(2.0)), kind=kind)
    cost, found = cam.cost(3, size=(16, 20)), cam(images, 1)
    assert int(found.forward_passes.sum()) <= cost["forward"]
    assert int(found.backward_passes.sum()) <= cost["backward"]


def test_the_outputs_of_grad_cam_s_convention_are_those_with_the_arguments() -> None:
    images, rows, net = photos(3, (16, 20)), table(3), Beside().eval()
    cam = MDMCAM(with_arguments(net, rows, factor=2.0), **QUICK)
    cam(images, 1)
    torch.testing.assert_close(cam.outputs, net(images, rows, factor=2.0).detach())


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Encoding, Entries])
def test_a_mapping_keeps_its_type_and_its_attributes(kind: type) -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, images: Tensor, encoding: Any) -> Tensor:
            assert isinstance(encoding, kind)
            assert encoding.ids is encoding["ids"]
            return self.net(images) * encoding.ids * encoding.scale

    images, rows, net = photos(3, (16, 20)), table(3), Reads().eval()
    encoding = kind({"ids": rows, "text": ["a", "b"]}, scale=2.0)
    found = MDM(with_arguments(net, encoding), **QUICK)(images, 1).saliency
    expected = MDM(with_arguments(lambda batch, ids: net.net(batch) * ids * 2.0, rows), **QUICK)(images, 1).saliency
    torch.testing.assert_close(found, expected)
    assert encoding.ids is rows, "the user's own mapping stays as it is"
    torch.testing.assert_close(
        MDM(with_arguments(net, encoding), **QUICK, batch_size=2)(images, 1).saliency, found, atol=1e-3, rtol=0
    )


def test_an_encoding_of_transformers_is_followed_by_its_attributes() -> None:
    transformers = pytest.importorskip("transformers")
    net, images = Beside().eval(), photos(2, (16, 20))
    encoding = transformers.BatchEncoding({"ids": table(2)})
    found = MDM(with_arguments(lambda batch, words: net(batch, words.ids), encoding), **QUICK)(images, 1)
    expected = MDM(with_arguments(net, table(2)), **QUICK)(images, 1)
    torch.testing.assert_close(found.saliency, expected.saliency, atol=1e-3, rtol=0)


class Refuses(OrderedDict):
    def __setitem__(self, key: str, value: Any) -> None:
        if "whole" in self:
            raise TypeError("it is whole")
        super().__setitem__(key, value)


@pytest.mark.parametrize("kind", [dict, OrderedDict, MappingProxyType, Refuses])
def test_other_mappings_are_passed_too(kind: type) -> None:
    net, images = Beside().eval(), photos(2, (16, 20))
    held = kind({"ids": table(2), "whole": True})
    found = MDM(with_arguments(lambda batch, words: net(batch, words["ids"]), held), **QUICK)(images, 1)
    expected = MDM(with_arguments(net, table(2)), **QUICK)(images, 1)
    torch.testing.assert_close(found.saliency, expected.saliency, atol=1e-3, rtol=0)
