"""``onnx:FILE``: ONNX graphs, converted to PyTorch so that gradients can be computed."""

from __future__ import annotations

import re
import warnings
from collections import namedtuple
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from maskstack.errors import ModelError, reason, require
from maskstack.models.frozen import GraphInput, load_graph
from maskstack.models.loaded import LoadedModel
from maskstack.models.onnx_folding import with_folded_constants
from maskstack.models.onnx_lowering import lowered
from maskstack.models.spec import Spec

_UNSAFE = re.compile(r"[^\w/:+. -]", re.ASCII)
"""Characters that a node's name loses: onnx2torch builds Python code from the names, and does not quote them."""
EXPORT = (
    "torch.onnx.export(model.eval(), (images,), 'network.onnx', dynamo=False, opset_version=17, "
    "do_constant_folding=True)"
)
"""The call that makes a file which onnx2torch can read."""


def load_onnx(spec: Spec) -> LoadedModel:
    """Load an ONNX graph with one image input, B x C x H x W, through onnx2torch.

    Args:
        spec: Spec with the keys ``norm`` (ImageNet's by default, as the file does not contain it), ``mean`` and
            ``std``, and ``size`` and ``channels`` if the graph does not fix them.

    Raises:
        InputError: The file is missing, or a key contradicts the graph.
        MissingExtraError: onnx or onnx2torch is not installed.
        ModelError: The file is damaged, the input is not one image, or onnx2torch does not support an operator.
    """
    onnx = require("onnx", extra="models")
    for part in ("inliner", "reference"):
        require(f"onnx.{part}", extra="models")
    onnx2torch = require("onnx2torch", extra="models")

    def read(path: Path) -> tuple[nn.Module, GraphInput]:
        graph = _read(onnx, path)
        taken = _input(onnx, path, graph)
        model = _convert(onnx, onnx2torch, path, graph)
        names = [each.name for each in graph.graph.output]
        return (model if len(names) == 1 else NamedOutputs(model, names)), taken

    return load_graph(spec, read)


def _read(onnx: Any, path: Path) -> Any:
    try:
        graph = onnx.load(str(path), format="protobuf", load_external_data=False)
        _check_external_data(path, graph)
        onnx.load_external_data_for_model(graph, str(path.parent))
        onnx.checker.check_model(graph)
    except ModelError:
        raise
    # DecodeError of protobuf, ValidationError of the checker, or a missing file of external data.
    except Exception as error:
        raise ModelError(
            f"{path} is damaged or is not an ONNX file; get a complete copy with its external data"
        ) from error
    _rename(graph)
    return graph


def _check_external_data(path: Path, graph: Any) -> None:
    """Refuse tensors in files outside of the network's own folder, before any of these files is opened."""
    folder = path.parent.resolve()
    for message in _messages(graph):
        for entry in message.external_data if message.DESCRIPTOR.name == "TensorProto" else ():
            if entry.key == "location":
                place = folder / entry.value
                if place.is_symlink() or not place.resolve().is_relative_to(folder) or "\\" in entry.value:
                    raise ModelError(
                        f"{path} names the file {entry.value[:60]!r}, which is not in its own folder; export it with "
                        "its external data beside it"
                    )


def _rename(graph: Any) -> None:
    """Give the nodes names that mean nothing in Python code."""
    for message in _messages(graph):
        if message.DESCRIPTOR.name == "NodeProto":
            message.name = _UNSAFE.sub("_", message.name)
            for field in ("domain", "op_type"):
                if _UNSAFE.search(getattr(message, field)):
                    raise ModelError(
                        f"the network has the operator {getattr(message, field)[:60]!r}, which is not a name; "
                        "export it again"
                    )


def _messages(message: Any) -> Iterator[Any]:
    """A protobuf message and all messages within it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in [value] if hasattr(value, "ListFields") else value:
                yield from _messages(each)


def _input(onnx: Any, path: Path, model: Any) -> GraphInput:
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in stored]
    if len(inputs) != 1:
        raise ModelError(f"{path} has {len(inputs)} inputs; only networks with one image input can be explained")
    tensor = inputs[0].type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        raise ModelError(f"{path} takes {kind} images; export it with float32 input, so that gradients can be computed")
    dims = [dim.dim_value if dim.dim_value > 0 else None for dim in tensor.shape.dim]
    return GraphInput.of(str(path), dims)


class NamedOutputs(nn.Module):
    """A network whose several outputs have the names that its file gives them.

    Args:
        model: Network that returns its outputs in order.
        names: Their names.
    """

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self.names = model, tuple(names)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The outputs, as a tuple with a name for each."""
        made: tuple[Tensor, ...] = _named(self.names)(*self.model(images))
        return made


@lru_cache(8)
def _named(names: tuple[str, ...]) -> Any:
    # Names that Python does not allow become their places.
    return namedtuple("Outputs", names, rename=True)


def _convert(onnx: Any, onnx2torch: Any, path: Path, graph: Any) -> Any:
    # onnx2torch's Slice indexes by a list, which makes torch warn at each run, also within a function mode of ours.
    # The user cannot change that.
    warnings.filterwarnings("ignore", message="Using a non-tuple sequence", module=r"(onnx2torch|maskstack)\.")
    try:
        prepared = with_folded_constants(lowered(graph, onnx), onnx)
        _rename(prepared)  # again, as lowering makes nodes
        return onnx2torch.convert(prepared)
    # The converters of onnx2torch raise different types of error for a valid but unusual graph.
    except Exception as error:
        raise ModelError(
            f"{path} cannot be converted to PyTorch ({reason(error)}); export it again by {EXPORT}, or save the "
            "network with torch.export.save, and load that as exported:FILE.pt2"
        ) from error
