"""Similarity of an image to a text or to another image, in networks of two towers such as CLIP and SigLIP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.errors import InputError, ModelError, a_type
from maskstack.objectives.objective import Objective, Rows

KEYS = ("image_embeds", "image_features", "pooler_output", "embeddings", "last_hidden_state")
"""Names under which outputs hold the image's embedding, in the order in which they are looked for."""


def similarity(
    text_embedding: Any,
    *,
    others: Any = None,
    scale: float = 100.0,
    read: Callable[[Any], Tensor] | None = None,
) -> Objective:
    """How well an image fits a text: cosine similarity of their embeddings, or the text's probability among others.

    Args:
        text_embedding: The text tower's embedding, D for all images, or B x D with one text for each image; or what
            ``get_text_features`` of transformers returned.
        others: Embeddings of other texts, K x D. With these, the score is the softmax probability of the text against
            them, as in zero-shot classification; without them, it is the cosine similarity.
        scale: Factor of the similarities before the softmax: the network's ``logit_scale.exp()``.
        read: Function from the network's raw output to the image's embedding, B x D; None looks for it.

    Raises:
        InputError: An embedding has another number of dimensions, is not finite, or the two do not match.

    >>> objective = similarity(torch.tensor([1.0, 0.0]))
    >>> objective.bind(torch.tensor([[3.0, 4.0]]), 1)(torch.tensor([[3.0, 4.0]]))
    tensor([0.6000])
    """
    text = _checked("text_embedding", text_embedding)
    against = None if others is None else functional.normalize(_checked("others", others), dim=1)
    if against is not None and against.shape[1] != text.shape[1]:
        raise InputError(
            f"text_embedding has {text.shape[1]} values and others have {against.shape[1]}; take both from one text "
            "tower"
        )

    def score(output: Any, rows: Rows) -> Tensor:
        image = read(output) if read is not None else _embedding(output)
        own = rows["text"].to(image.device)
        if image.ndim != 2 or image.shape[1] != own.shape[1]:
            raise ModelError(
                f"the image's embedding has shape {tuple(image.shape)} and the text's has {own.shape[1]} values; "
                "explain the image tower with its projection, such as "
                "lambda images: clip.get_image_features(pixel_values=images)"
            )
        image = functional.normalize(image.float(), dim=1)
        fit = (image * functional.normalize(own, dim=1)).sum(dim=1)
        if against is None:
            return fit
        rivals = image @ against.to(image.device).T
        return (scale * torch.cat([fit.unsqueeze(1), rivals], dim=1)).softmax(dim=1)[:, 0]

    return Objective("similarity", score, {"text": text}, raw=True)


def _checked(name: str, embedding: Any) -> Tensor:
    found = embedding.get("text_embeds", embedding.get("pooler_output")) if hasattr(embedding, "get") else embedding
    try:
        values = torch.as_tensor(found).detach().float()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name} is {a_type(embedding)}; give the embedding itself, D or several rows of D") from error
    values = values.unsqueeze(0) if values.ndim == 1 else values
    if values.ndim != 2 or not values.numel() or not torch.isfinite(values).all():
        raise InputError(f"{name} has shape {tuple(values.shape)}; it must be finite numbers, D or several rows of D")
    return values


def _embedding(output: Any) -> Tensor:
    """The image's embedding in the network's output."""
    if isinstance(output, Tensor):
        return output
    for key in KEYS:
        value = output.get(key) if hasattr(output, "get") else getattr(output, key, None)
        if isinstance(value, Tensor) and value.ndim == 2:
            return value
    if isinstance(output, tuple | list) and output and isinstance(output[0], Tensor):
        return output[0]
    raise ModelError(
        f"the network returned {a_type(output)}, in which no image embedding was found; pass read=: a "
        "function from the output to B x D"
    )
