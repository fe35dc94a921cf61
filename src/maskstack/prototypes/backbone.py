"""A pretrained network cut in two: a frozen stem, whose output can be cached, and a tail that can be trained."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, fx, nn

from maskstack.checks import did_you_mean
from maskstack.errors import InputError, ModelError, reason, require
from maskstack.explainers.cam.token_grid import fits


class Backbone(nn.Module):
    """Features of images, standardised per channel.

    Batch norms keep their statistics, because batches are small and cached features were computed with them.

    Args:
        stem: From images B x 3 x H x W to the cut, frozen.
        tail: From the cut to the features B x C x h x w.
        channels: C.

    Attributes:
        mean: Subtracted from each channel, C.
        std: Each channel is then divided by it, C.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, stem: nn.Module, tail: nn.Module, *, channels: int) -> None:
        super().__init__()
        self.stem, self.tail, self.channels = stem, tail, channels
        self.stem.requires_grad_(False)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Features of images."""
        return self.after(self.stem(images))

    def after(self, cut: Tensor) -> Tensor:
        """Features from the output of the stem."""
        features: Tensor = self.tail(cut)
        return (features - self.mean.view(-1, 1, 1)) / self.std.view(-1, 1, 1)

    def train(self, mode: bool = True) -> Backbone:
        """Has no effect: the backbone stays in eval mode."""
        del mode
        return super().train(False)


class ChannelsFirst(nn.Module):
    """From features with channels last, as Swin's, to B x C x h x w."""

    def forward(self, features: Tensor) -> Tensor:
        """From B x h x w x C."""
        return features.permute(0, 3, 1, 2).contiguous()


def cut_in_two(model: nn.Module, layer: str, cut: str = "", *, example: Tensor) -> Backbone:
    """Cut a network into a frozen stem and a tail that ends at a layer.

    A layer whose grid fits the image only with channels last (B x h x w x C) is read as such.

    Args:
        model: Any network that torch.fx can trace: all of torchvision, most of timm, the bundled one. Copied.
        layer: Name in ``model.named_modules()`` of the layer whose output is used as features.
        cut: Name of the layer at which the tail begins; empty for an empty tail.
        example: One image, 1 x 3 x H x W.

    Raises:
        InputError: There is no such layer, or its output is not a map B x C x h x w.
        ModelError: The network cannot be traced, or a connection bypasses the cut.
        MissingExtraError: torchvision is not installed.
    """
    for name in filter(None, (layer, cut)):
        known = [known for known, _ in model.named_modules() if known]
        if name not in known:
            guess = did_you_mean(name, known) or " model.named_modules() names all"
            raise InputError(f"the network has no layer {name!r};{guess}")
    traced = _traced(model, {cut: "cut", layer: "features"} if cut else {layer: "features"})
    wanted: dict[str, fx.Node] = _output(traced.graph).args[0]  # type: ignore[assignment]
    features = wanted["features"]
    at = wanted.get("cut", features)
    stem = _ending_at(traced, at.name)
    tail = nn.Identity() if at is features else _between(traced, at.name, features.name)
    with torch.no_grad():
        output = tail(stem(example))
    shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if not isinstance(output, Tensor) or output.ndim != 4:
        raise InputError(f"the layer {layer} gives {shape}, not a map B x C x h x w; choose another one")
    _, first, height, width = output.shape
    size = example.shape[2], example.shape[3]
    if not fits((height, width), size) and fits((first, height), size):
        return Backbone(stem, nn.Sequential(tail, ChannelsFirst()), channels=width)
    return Backbone(stem, tail, channels=output.shape[1])


def _traced(model: nn.Module, nodes: dict[str, str]) -> fx.GraphModule:
    extraction = require("torchvision.models.feature_extraction", extra="prototypes")
    model = copy.deepcopy(model).eval()
    for module in model.modules():
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # noqa: B010  # The input of the tail is used again.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about nodes that exist only in training mode
            traced: fx.GraphModule = extraction.create_feature_extractor(model, nodes)
    # Tracing runs the network's own code on proxies, which may raise any error.
    except Exception as error:
        raise ModelError(
            f"the network cannot be cut at {', '.join(nodes)} ({reason(error)}); choose another layer or backbone"
        ) from error
    # A plain graph, because torchvision's extractor switches to another graph in training mode.
    plain = fx.GraphModule(traced, traced.eval().graph)
    # Assertions are never removed as dead code and would keep everything before them.
    for node in reversed(list(plain.graph.nodes)):
        if node.target is torch._assert:
            plain.graph.erase_node(node)
    return _tidied(plain)


def _ending_at(traced: fx.GraphModule, name: str) -> fx.GraphModule:
    """A copy that returns the output of the node of this name."""
    module = copy.deepcopy(traced)
    _output(module.graph).args = (_node(module.graph, name),)
    return _tidied(module)


def _between(traced: fx.GraphModule, first: str, last: str) -> fx.GraphModule:
    """A copy from the output of one node to the output of another."""
    module = copy.deepcopy(traced)
    graph = module.graph
    start = next(node for node in graph.nodes if node.op == "placeholder")
    with graph.inserting_before(start):
        given = graph.placeholder("cut")
    _node(graph, first).replace_all_uses_with(given)
    _output(graph).args = (_node(graph, last),)
    graph.eliminate_dead_code()
    for node in [node for node in graph.nodes if node.op == "placeholder" and node is not given]:
        if node.users:
            raise ModelError(
                f"the layer {last} also has an input that bypasses {first}; choose a cut that everything passes through"
            )
        graph.erase_node(node)
    return _tidied(module)


def _tidied(module: fx.GraphModule) -> fx.GraphModule:
    module.graph.eliminate_dead_code()
    module.graph.lint()
    module.delete_all_unused_submodules()
    module.recompile()
    return module.eval()


def _output(graph: fx.Graph) -> fx.Node:
    found: fx.Node = next(node for node in graph.nodes if node.op == "output")
    return found


def _node(graph: fx.Graph, name: str) -> Any:
    return next(node for node in graph.nodes if node.name == name)
