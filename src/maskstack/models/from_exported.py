"""``exported:FILE.pt2``: networks saved by ``torch.export.save``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from maskstack.errors import InputError, ModelError
from maskstack.models.fixed_batch import FixedBatch
from maskstack.models.frozen_graph import GraphInput, graph_preprocess
from maskstack.models.loaded import LoadedModel, loaded
from maskstack.models.pt2_archive import harmless_copy
from maskstack.models.spec import Spec


class ExportedNetwork(nn.Module):
    """Holds an exported graph, which refuses ``eval()`` and ``train()``: its mode was fixed at its export."""

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.graph = graph
        self.training = False

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002
        """Change nothing."""
        return self

    def forward(self, images: torch.Tensor) -> Any:
        """The graph's output as it is."""
        return self.graph(images)


def load_exported(spec: Spec) -> LoadedModel:
    """An exported program of one image input, B x C x H x W; nothing in its file is unpickled or run as code.

    Args:
        spec: Keys as for ``onnx``.

    Raises:
        InputError: The file is missing, or a key contradicts the graph.
        ModelError: The file is damaged, from another version of torch, holds code, or has another input.
    """
    path = Path(spec.name)
    if not path.is_file():
        raise InputError(f"the network {path} does not exist or is no file; check the path")
    program = _load(path)
    graph: nn.Module = program.module()
    taken = _input(path, program)
    model: nn.Module = ExportedNetwork(graph)
    if taken.batch is not None:
        model = FixedBatch(model, taken.batch)
    return loaded(model, graph_preprocess(taken, spec), spec=spec.text, weights=path.name)


def _load(path: Path) -> Any:
    archive = harmless_copy(path)
    # It logs a traceback, and then raises an error that points there.
    logger = logging.getLogger("torch.export")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        return torch.export.load(archive)
    # Versions, devices and operators that are not here each fail in their own way.
    except Exception as error:
        raise ModelError(
            f"{path} cannot be loaded by torch {torch.__version__}; export it anew with it, on the CPU"
        ) from error
    finally:
        logger.setLevel(level)


def _input(path: Path, program: Any) -> GraphInput:
    names = program.graph_signature.user_inputs
    values = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    if len(names) != 1 or len(values) != 1 or not isinstance(values[0], torch.Tensor):
        raise ModelError(f"{path} has {len(names)} inputs; only networks of one image input can be explained")
    if values[0].dtype != torch.float32:
        raise ModelError(f"{path} takes {values[0].dtype} images; export it with float32 input")
    return GraphInput.of(str(path), [dim if isinstance(dim, int) else None for dim in values[0].shape])
