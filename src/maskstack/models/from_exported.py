"""``exported:FILE.pt2``: networks saved with ``torch.export.save``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from maskstack.errors import ModelError, quiet
from maskstack.models.frozen import GraphInput, load_graph
from maskstack.models.loaded import LoadedModel
from maskstack.models.pt2_archive import safe_copy
from maskstack.models.spec import Spec


class ExportedNetwork(nn.Module):
    """Wraps an exported graph, which raises on ``eval()`` and ``train()`` because its mode was fixed at export."""

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.graph = graph
        self.training = False

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002
        """Do nothing, as the mode of the graph is fixed."""
        return self

    def forward(self, images: torch.Tensor) -> Any:
        """The unchanged output of the graph."""
        return self.graph(images)


def load_exported(spec: Spec) -> LoadedModel:
    """Load an exported program with one image input, B x C x H x W; nothing in the file is unpickled or run as code.

    Args:
        spec: Spec with the same keys as for ``onnx``.

    Raises:
        InputError: The file is missing, or a key contradicts the graph.
        ModelError: The file is damaged, contains code or is from another version of torch, or the input is not one
            image.
    """
    return load_graph(spec, _read)


def _read(path: Path) -> tuple[nn.Module, GraphInput]:
    program = _load(path)
    return ExportedNetwork(program.module()), _input(path, program)


def _load(path: Path) -> Any:
    archive = safe_copy(path)
    # torch.export logs a traceback and then raises an error that refers to it.
    with quiet("torch.export", level=logging.CRITICAL):
        try:
            return torch.export.load(archive)
        # Unknown versions, devices and operators raise different types of error.
        except Exception as error:
            raise ModelError(
                f"{path} cannot be loaded by torch {torch.__version__}; export it again with this version, on the CPU"
            ) from error


def _input(path: Path, program: Any) -> GraphInput:
    names = program.graph_signature.user_inputs
    values = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    if len(names) != 1 or len(values) != 1 or not isinstance(values[0], torch.Tensor):
        raise ModelError(f"{path} has {len(names)} inputs; only networks with one image input can be explained")
    if values[0].dtype != torch.float32:
        raise ModelError(f"{path} takes {values[0].dtype} images; export it with float32 input")
    return GraphInput.of(str(path), [dim if isinstance(dim, int) else None for dim in values[0].shape])
