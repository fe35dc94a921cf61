"""Networks that were saved as a graph with fixed shapes: their input, their preprocessing, and their batch size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskstack.errors import InputError, ModelError, a_type
from maskstack.models.loaded import LoadedModel, loaded
from maskstack.models.preprocess import Preprocess
from maskstack.models.spec import Spec, adjusted, assumed_norm


@dataclass(frozen=True)
class GraphInput:
    """The input of a saved graph; sizes that the graph does not fix are None.

    Attributes:
        source: Name of the file in messages.
        batch: Number of images.
        channels: Number of channels.
        height: Height in pixels.
        width: Width in pixels.
    """

    source: str
    batch: int | None
    channels: int | None
    height: int | None
    width: int | None

    @classmethod
    def of(cls, source: str, dims: Sequence[int | None]) -> GraphInput:
        """Make it from the dimensions of the input.

        Args:
            source: Name of the file in messages.
            dims: Size of each dimension; None if the graph does not fix it.

        Raises:
            ModelError: The dimensions are not those of images, B x C x H x W.
        """
        shape = " x ".join("?" if dim is None else str(dim) for dim in dims)
        if len(dims) != 4:
            raise ModelError(
                f"{source} takes {shape or 'a number'}; only networks of images, B x C x H x W, can be explained"
            )
        if dims[1] not in (None, 1, 3) and dims[3] in (1, 3):
            raise ModelError(
                f"{source} takes {shape}; the channels seem to be last, so export it with channels first, B x C x H x W"
            )
        return cls(source, *dims)


def load_graph(spec: Spec, read: Callable[[Path], tuple[nn.Module, GraphInput]]) -> LoadedModel:
    """Load a network from the file that a spec names.

    Args:
        spec: The spec.
        read: Reads the file: the network and its input.

    Raises:
        InputError: The file is missing, or a key contradicts the graph.
    """
    path = Path(spec.name)
    if not path.is_file():
        raise InputError(f"the network {path} does not exist or is not a file; check the path")
    model, taken = read(path)
    if taken.batch is not None:
        model = FixedBatch(model, taken.batch)
    preprocess, assumed = graph_preprocess(taken, spec), assumed_norm(spec.options)
    return loaded(model, preprocess, spec=spec.text, weights=path.name, assumed=assumed)


def graph_preprocess(taken: GraphInput, spec: Spec) -> Preprocess:
    """The preprocessing for a graph: its size, changed by the spec's keys; mean and std are ImageNet's by default.

    Raises:
        InputError: Neither the graph nor the spec gives the size, or they contradict each other.
    """
    start = adjusted(Preprocess(), {"channels": str(taken.channels or 3)})
    if taken.height is not None and taken.width is not None:
        start = replace(start, size=(taken.height, taken.width))
    elif "size" not in spec.options:
        raise InputError(f"{taken.source} does not fix the size of its images; add it: {spec.text},size=224")
    wanted = adjusted(start, spec.options)
    fixed = (taken.height or wanted.size[0], taken.width or wanted.size[1], taken.channels or wanted.channels)
    if (*wanted.size, wanted.channels) != fixed:
        raise InputError(
            f"{taken.source} only takes images of {fixed[0]} x {fixed[1]} with {fixed[2]} channels; "
            "leave out size and channels"
        )
    return wanted


class FixedBatch(nn.Module):
    """Runs a network with a fixed batch size on batches of any size.

    The images are run in slices of the fixed size. The last slice is padded by repeating its last image.

    Args:
        model: Network for ``batch`` x C x H x W; the first dimension of each output tensor is that of the images.
        batch: The fixed batch size.
    """

    def __init__(self, model: nn.Module, batch: int) -> None:
        super().__init__()
        self.model, self.batch = model, batch

    def forward(self, images: Tensor) -> Any:
        """The network's output for B x C x H x W; tuples without names become lists.

        Raises:
            ModelError: The output contains something other than tensors in mappings, tuples and lists.
        """
        count = len(images)
        short = -count % self.batch
        if short:
            images = torch.cat([images, images[-1:].expand(short, *images.shape[1:])])
        return _join([self.model(part) for part in torch.split(images, self.batch)], count)


def _join(parts: list[Any], count: int) -> Any:
    """Join the outputs of the slices and remove the padding."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(parts)[:count]
    if isinstance(first, Mapping):
        return {key: _join([part[key] for part in parts], count) for key in first}
    if hasattr(first, "_fields"):
        return type(first)(*(_join(list(each), count) for each in zip(*parts, strict=True)))
    if isinstance(first, tuple | list):
        return [_join(list(each), count) for each in zip(*parts, strict=True)]
    raise ModelError(f"the network returned {a_type(first)}; export it so that it returns tensors")
