"""The kind of an output with one row of values for each image, from the values and from what made them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from maskstack.errors import ModelError
from maskstack.objectives.origins import Origin
from maskstack.objectives.reading import Kind
from maskstack.objectives.self_description import headless, is_named_embedding

LARGEST_LOGIT = 20.0
"""A single output beyond this is not the logit of a probability: its sigmoid would be 1 in single precision."""

MANY = 32
"""Least number of values that are called an embedding for what made them alone."""

ENOUGH = 12
"""Least number of values that are called probabilities for their range alone: a few logits may be in it by chance."""

ROUNDING = 1e-3
"""Distance from a range that is allowed for rounding; ten times as much for a sum."""

LARGEST_LOGITS = 50.0
"""Several outputs beyond this are hardly logits: the softmax of two that differ by 17 is 1 in single precision."""

EMBEDDING_SIZES = frozenset(
    {128, 192, 256, 320, 384, 512, 576, 640, 768, 896, 960, 1024, 1152, 1280, 1408, 1536, 1664, 1792, 2048, 2560, 4096}
)
"""Usual sizes of embeddings, and rare numbers of classes."""

_EMBEDDING_NAMES = frozenset({
    "pooler_output", "image_embeds", "image_features", "embedding", "embeddings", "features", "feature",
    "last_hidden_state",
})  # fmt: skip


def kind_of(values: Tensor, origin: Origin | None, stated: str, model: Any, shown: str, names: int) -> tuple[Kind, str]:
    """Kind of an output with one row of values for each image, and the doubt about it.

    Args:
        values: The output, B x K.
        origin: What made it; None if that was not observed.
        stated: The kind of problem that the network states; empty if it states none.
        model: The network.
        shown: Name of the output; empty if there is only one.
        names: Number of class names that are known; 0 for none.

    Returns:
        The kind, and a sentence that says what else it may be; empty if nothing speaks for that.

    Raises:
        ModelError: The values are percentages, or a softmax was taken over the batch.
    """
    if not torch.isfinite(values).all():
        return ("logit" if values.shape[1] == 1 else "logits"), ""  # reported as NaN or infinite by what follows
    if values.shape[1] == 1:
        return _single(values, origin, stated, names)
    return _several(values, origin, stated, model, shown, names)


def _single(values: Tensor, origin: Origin | None, stated: str, names: int) -> tuple[Kind, str]:
    unit = bool(values.min() >= 0 and values.max() <= 1)
    if origin == "pair_logits":
        return "logit", ""
    if stated == "regression":
        return "number", ""
    if unit and (origin in ("sigmoid", "softmax") or (names == 2 and origin != "linear")):
        return "probability", ""
    if unit and origin == "bounded":
        return "probability", "a single output from 0 to 1 that was computed from probabilities may also be a " + (
            "number; " + _choose("number")
        )
    if names == 2:
        return "logit", ""
    if float(values.abs().max()) > LARGEST_LOGIT:
        return "number", ""
    if origin in ("linear", None):
        if unit and origin is None:
            return "probability", "a single output from 0 to 1 may also be a logit or a number; " + _choose(
                "logit", "number"
            )
        return "logit", "a single output may also be a number, as of a regression; " + _choose("number")
    return "number", "a single output that no linear layer and no sigmoid made; " + _choose("logit", "probability")


def _several(
    values: Tensor, origin: Origin | None, stated: str, model: Any, shown: str, names: int
) -> tuple[Kind, str]:
    if origin == "pair_logits":
        return "independent_logits", ""
    if origin != "linear" and (found := _probabilities(values, origin)) is not None:
        return found
    if stated == "multi_label_classification":
        return "independent_logits", ""
    if stated == "regression":
        return "number", ""
    count, unit = values.shape[1], _in_unit_range(values)
    unclear = unit and origin in (None, "other")
    may_be_probabilities, few = unclear and count >= ENOUGH, unclear and count < ENOUGH
    if names == count and not unclear:
        return "logits", ""
    if shown in _EMBEDDING_NAMES or headless(model, origin) or _unit_length(values):
        return "embedding", ""
    if count >= MANY and (origin == "features" or is_named_embedding(model)):
        return "embedding", ""
    if may_be_probabilities:
        return "independent_probabilities", "all values are from 0 to 1; " + _choose("logits", "number")
    return "logits", _doubt_of_logits(values, origin, few=few)


def _probabilities(values: Tensor, origin: Origin | None) -> tuple[Kind, str] | None:
    """Kind of values that are probabilities or logarithms of them, by their range and sums; None if they are neither.

    Raises:
        ModelError: They are percentages, or a softmax was taken over the batch.
    """
    unit, sums = _in_unit_range(values), values.sum(dim=1)
    # A few sigmoids may sum to about 1 by chance.
    if unit and _all_near(sums, 1, within=ROUNDING / 10 if origin == "sigmoid" else 10 * ROUNDING):
        return "probabilities", ""
    # Class scores after a ReLU, as SqueezeNet's, may sum to 100 by chance.
    if origin != "rectified" and bool(values.min() >= 0) and _all_near(sums / 100, 1):
        raise ModelError(
            "each row of the network's output sums to 100, as percentages do; give it as probabilities, "
            "lambda images: model(images) / 100, or choose with output="
        )
    if bool(values.max() <= ROUNDING) and _all_near(values.logsumexp(dim=1), 0):
        return "log_probabilities", ""
    if bool(values.min() >= -ROUNDING) and _all_near((-values).logsumexp(dim=1), 0):
        return "logits", (
            "the values are negative logarithms of probabilities, so the highest one is that of the least likely "
            "class; give their negative: lambda images: -model(images)"
        )
    if origin == "log_sigmoid":
        return "log_probabilities", ""
    if not unit:
        return None
    if origin == "sigmoid":
        return "independent_probabilities", ""
    if origin == "softmax" and _all_near(values.sum(dim=0), 1):
        raise ModelError(
            "the network's softmax is over the images of the batch and not over the classes; set dim=1 in it"
        )
    if origin == "softmax":
        return "independent_probabilities", "a softmax made the values, but those of an image do not sum to 1"
    if origin == "bounded":
        return "independent_probabilities", "all values are from 0 to 1 and were computed from probabilities; " + (
            _choose("logits", "number")
        )
    return None


def _doubt_of_logits(values: Tensor, origin: Origin | None, *, few: bool) -> str:
    """Why several values that are read as logits may be something else; empty if nothing speaks for that.

    Args:
        values: B x K.
        origin: What made them.
        few: Whether all are from 0 to 1, but too few to say that they are probabilities.
    """
    largest, count = float(values.abs().max()), values.shape[1]
    if origin in ("features", "rectified"):
        return "no linear layer made the output, so it may not be class scores; " + _choose("embedding", "number")
    if few:
        return "all values are from 0 to 1, so they may be probabilities; " + _choose("independent_probabilities")
    if largest > LARGEST_LOGITS:
        return f"values as large as {largest:.0f} may be numbers of a regression; " + _choose("number")
    if count in EMBEDDING_SIZES:
        return f"{count} values may also be an embedding; " + _choose("embedding")
    return ""


def _in_unit_range(values: Tensor) -> bool:
    """Whether all values are from 0 to 1, up to rounding."""
    return bool(values.min() >= -ROUNDING and values.max() <= 1 + ROUNDING)


def _all_near(sums: Tensor, value: float, *, within: float = 10 * ROUNDING) -> bool:
    """Whether all sums have this value, up to rounding."""
    return bool(((sums - value).abs() < within).all())


def _choose(*kinds: str) -> str:
    return "if so, say it with " + " or ".join(f"output={kind}" for kind in kinds)


def _unit_length(values: Tensor) -> bool:
    return values.shape[1] >= 4 and bool(((values.norm(dim=1) - 1).abs() < 1e-3).all())
