"""Objective of an embedding network."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.errors import InputError, ModelError
from maskstack.objectives.objective import Objective, Rows


def cosine(embedding: Tensor) -> Objective:
    """Cosine of the network's output, an embedding, to a given one.

    Args:
        embedding: D for all images, or B x D.

    Raises:
        InputError: The embedding has another number of dimensions, or is not finite.
    """
    values = embedding.detach().float()
    values = values.unsqueeze(0) if values.ndim == 1 else values
    if values.ndim != 2 or not torch.isfinite(values).all():
        raise InputError("an embedding must be finite numbers, D for all images or B x D")

    def read(output: Tensor, rows: Rows) -> Tensor:
        if output.ndim != 2 or output.shape[1] != rows["embedding"].shape[1]:
            raise ModelError(
                f"the network's output has shape {tuple(output.shape)}, the embedding has "
                f"{rows['embedding'].shape[1]} values; they must match"
            )
        return functional.cosine_similarity(output, rows["embedding"], dim=1)

    return Objective("cosine", read, {"embedding": values})
