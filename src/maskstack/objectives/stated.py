"""A kind of output that the user states: whether the values can be of it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from maskstack.errors import InputError
from maskstack.objectives.reading import Kind

OUT_OF_RANGE = 0.01
"""How far values that the user calls probabilities may be outside of their range."""

NOT_IN_SUM = 0.1
"""How far the sum of the values that the user calls probabilities may be from 1, as of quantized ones."""

_INSTEAD: Mapping[Kind, Kind] = {
    "probabilities": "logits",
    "log_probabilities": "logits",
    "independent_probabilities": "independent_logits",
    "probability": "logit",
}
"""For the kinds whose values have a range, the one without."""


def check_stated(kind: Kind, values: Tensor, chosen: str) -> None:
    """Check that the values can be of the kind that the user chose.

    Raises:
        InputError: They cannot.
    """
    if kind not in _INSTEAD or not torch.isfinite(values).all():  # such values are reported by what follows
        return
    low, high, total = float(values.min()), float(values.max()), values.sum(dim=1)
    highest = 0 if kind == "log_probabilities" else 1
    instead = f"give output={chosen}{_INSTEAD[kind]}, or leave the kind out"
    if high > highest + OUT_OF_RANGE or (highest and low < -OUT_OF_RANGE):
        limits = "from 0 to 1" if highest else "at most 0"
        raise InputError(
            f"the output cannot be read as {kind}: its values are {low:.4g} to {high:.4g}, and must be {limits}; "
            f"{instead}"
        )
    if kind == "probabilities" and float((total - 1).abs().max()) > NOT_IN_SUM:
        wrong = float(total[(total - 1).abs().argmax()])
        raise InputError(
            f"the output cannot be read as probabilities: its values sum to {wrong:.4g} for an image, instead of 1; "
            f"give output={chosen}independent_probabilities if each class has its own, or output={chosen}logits"
        )
