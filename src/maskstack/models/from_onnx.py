"""``onnx:FILE``: ONNX graphs, converted to PyTorch so that gradients can be computed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from torch import nn

from maskstack.errors import ModelError, reason, require
from maskstack.models.frozen import GraphInput, load_graph
from maskstack.models.loaded import LoadedModel
from maskstack.models.spec import Spec


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
        graph = onnx.load(str(path))
        onnx.checker.check_model(graph)
    # DecodeError of protobuf, ValidationError of the checker, or a missing file of external data.
    except Exception as error:
        raise ModelError(
            f"{path} is damaged or is not an ONNX file; get a complete copy with its external data"
        ) from error
    return graph


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
