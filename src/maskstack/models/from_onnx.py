"""``onnx:FILE``: ONNX graphs, converted to PyTorch so that gradients can be computed."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from maskstack.errors import ModelError, reason, require
from maskstack.models.frozen import GraphInput, load_graph
from maskstack.models.loaded import LoadedModel
from maskstack.models.spec import Spec

_UNSAFE = re.compile(r"[^\w/:+. -]", re.ASCII)
"""Characters that a node's name loses: onnx2torch builds Python code from the names, and does not quote them."""


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
    onnx2torch = require("onnx2torch", extra="models")

    def read(path: Path) -> tuple[nn.Module, GraphInput]:
        graph = _read(onnx, path)
        taken = _input(onnx, path, graph)
        return _convert(onnx2torch, path, graph), taken

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


def _convert(onnx2torch: Any, path: Path, graph: Any) -> Any:
    # onnx2torch's Slice indexes by a list, which makes torch warn at each run. The user cannot change that.
    warnings.filterwarnings("ignore", message="Using a non-tuple sequence", module=r"onnx2torch\.")
    try:
        return onnx2torch.convert(graph)
    except NotImplementedError as error:
        raise ModelError(
            f"{path} has an operator that onnx2torch cannot convert to PyTorch ({error}); export it without it"
        ) from error
    # The converters of onnx2torch raise different types of error for a valid but unusual graph.
    except Exception as error:
        raise ModelError(f"{path} cannot be converted to PyTorch ({reason(error)}); export it again") from error
