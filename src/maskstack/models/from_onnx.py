"""``onnx:FILE``: ONNX graphs, turned into PyTorch so that gradients pass."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from torch import nn

from maskstack.errors import InputError, ModelError
from maskstack.errors import require
from maskstack.models.fixed_batch import FixedBatch
from maskstack.models.frozen_graph import GraphInput, graph_preprocess
from maskstack.models.loaded import LoadedModel, loaded
from maskstack.models.spec import Spec
from maskstack.errors import reason


def load_onnx(spec: Spec) -> LoadedModel:
    """An ONNX graph of one image input, B x C x H x W, through onnx2torch.

    Args:
        spec: Keys ``norm`` (ImageNet's unless given, as the file does not say), ``mean``, ``std``, ``size``
            and
            ``channels`` where the graph leaves them open.

    Raises:
        InputError: The file is missing, or a key contradicts the graph.
        MissingExtraError: onnx or onnx2torch is not installed.
        ModelError: The file is damaged, has another input, or an operator onnx2torch does not know.
    """
    onnx = require("onnx", extra="models")
    onnx2torch = require("onnx2torch", extra="models")
    path = Path(spec.name)
    if not path.is_file():
        raise InputError(f"the network {path} does not exist or is no file; check the path")
    graph = _read(onnx, path)
    taken = _input(onnx, path, graph)
    model: nn.Module = _convert(onnx2torch, path, graph)
    if taken.batch is not None:
        model = FixedBatch(model, taken.batch)
    return loaded(model, graph_preprocess(taken, spec), spec=spec.text, weights=path.name)


def _read(onnx: Any, path: Path) -> Any:
    try:
        graph = onnx.load(str(path))
        onnx.checker.check_model(graph)
    # protobuf's DecodeError, the checker's ValidationError, and missing files of external data.
    except Exception as error:
        raise ModelError(f"{path} is damaged or no ONNX file; get a whole copy, with its external data") from error
    return graph


def _input(onnx: Any, path: Path, model: Any) -> GraphInput:
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in stored]
    if len(inputs) != 1:
        raise ModelError(f"{path} has {len(inputs)} inputs; only networks of one image input can be explained")
    tensor = inputs[0].type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        raise ModelError(f"{path} takes {kind} images; export it with float32 input, which lets gradients pass")
    dims = [dim.dim_value if dim.dim_value > 0 else None for dim in tensor.shape.dim]
    return GraphInput.of(str(path), dims)


def _convert(onnx2torch: Any, path: Path, graph: Any) -> Any:
    # Its Slice indexes by a list, of which torch warns at every run; nothing the user could put right.
    warnings.filterwarnings("ignore", message="Using a non-tuple sequence", module=r"onnx2torch\.")
    try:
        return onnx2torch.convert(graph)
    except NotImplementedError as error:
        raise ModelError(
            f"{path} has an operator onnx2torch cannot turn into PyTorch ({error}); export it anew"
        ) from error
    # A graph that is valid but odd fails in any of onnx2torch's converters.
    except Exception as error:
        raise ModelError(f"{path} cannot be turned into PyTorch ({reason(error)}); export it anew") from error
