"""What the numbers of a network's output are, and the scores of classes that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.errors import ModelError

Kind = Literal[
    "logits", "log_probabilities", "probabilities", "independent_logits", "independent_probabilities", "logit",
    "probability", "number", "embedding", "map",
]  # fmt: skip
"""Kinds of outputs.

``logits``, ``log_probabilities`` and ``probabilities`` are of classes that exclude each other (softmax), the
``independent_`` ones of classes that do not (a sigmoid each). ``logit`` and ``probability`` are single outputs for two
classes. A ``number`` is a regression, one or several. An ``embedding`` has no classes. A ``map`` has positions.
"""

KINDS: tuple[Kind, ...] = get_args(Kind)

_WORDS: Mapping[Kind, str] = {
    "logits": "logits of {count} classes",
    "log_probabilities": "log-probabilities of {count} classes",
    "probabilities": "probabilities of {count} classes",
    "independent_logits": "independent logits of {count} classes",
    "independent_probabilities": "independent probabilities of {count} classes",
    "logit": "a single logit of two classes",
    "probability": "a single probability of two classes",
    "embedding": "an embedding of {count} values",
}
_LEAST = 1e-12
"""Lower bound on a probability before its logarithm."""


@dataclass(frozen=True)
class Reading:
    """What a network's output is.

    Attributes:
        kind: A name of :data:`Kind`.
        shape: Shape of the output for one image, without dimensions of 1 at its end.
        name: Name of the output that was chosen with ``output=``; None for the one that is found without a choice.
        shown: Name of the output, where the network has several.
        names: Names of all the outputs, where the network has several.
        doubt: A sentence that says why the kind or the choice is not certain and how to choose; empty if it is certain.
    """

    kind: Kind
    shape: tuple[int, ...]
    name: str | None = None
    shown: str = ""
    names: tuple[str, ...] = ()
    doubt: str = ""

    @property
    def classes(self) -> int:
        """Number of classes, numbers or values that can be chosen."""
        return 2 if self.kind in ("logit", "probability") else self.shape[0] if self.shape else 1

    def words(self) -> str:
        """The reading in words.

        >>> Reading("probabilities", (1000,)).words()
        'probabilities of 1000 classes'
        >>> Reading("map", (21, 64, 64), shown="out", names=("out", "aux")).words()
        'a map of 21 x 64 x 64 (output out of 2: out, aux)'
        """
        if self.kind == "map":
            said = f"a map of {' x '.join(map(str, self.shape))}"
        elif self.kind == "number":
            said = "a number" if self.classes == 1 else f"{self.classes} numbers"
        else:
            said = _WORDS[self.kind].format(count=self.classes)
            said = "an embedding of 1 value" if said == "an embedding of 1 values" else said
        if len(self.names) > 1:
            more = ", ..." if len(self.names) > 6 else ""
            said += f" (output {self.shown} of {len(self.names)}: {', '.join(self.names[:6])}{more})"
        return said

    def predicted(self, scores: Tensor) -> Tensor:
        """Class with the highest score, B, for B x K scores."""
        if self.kind == "logit":
            return (scores[:, 0] > 0).long()
        if self.kind == "probability":
            return (scores[:, 0] > 0.5).long()
        return scores.argmax(dim=1)

    def probabilities(self, scores: Tensor) -> Tensor:
        """Probability of each class, B x classes, for B x K scores.

        Raises:
            ModelError: The output has no classes.
        """
        if self.kind == "probability":
            return torch.cat([1 - scores, scores], dim=1)
        if self.kind in ("probabilities", "independent_probabilities"):
            return scores
        return self.log_probabilities(scores).exp()

    def log_probabilities(self, scores: Tensor, activation: str | None = None) -> Tensor:
        """Logarithm of the probability of each class, B x classes.

        Args:
            scores: The output, B x K.
            activation: ``softmax`` or ``sigmoid``, for logits; None means the one that belongs to the kind.

        Raises:
            ModelError: The output has no classes.
        """
        match self.kind:
            case "logits" | "independent_logits":
                own = "softmax" if self.kind == "logits" else "sigmoid"
                if (activation or own) == "sigmoid":
                    return functional.logsigmoid(scores)
                return functional.log_softmax(scores, dim=1)
            case "log_probabilities":
                return scores
            case "probabilities" | "independent_probabilities":
                return scores.clamp_min(_LEAST).log()
            case "logit":
                return functional.logsigmoid(torch.cat([-scores, scores], dim=1))
            case "probability":
                return torch.cat([1 - scores, scores], dim=1).clamp_min(_LEAST).log()
        raise ModelError(without_classes(self))

    def comparable(self, scores: Tensor) -> Tensor:
        """Numbers of B x classes whose differences are those of the logits.

        Raises:
            ModelError: The output has no classes.
        """
        match self.kind:
            case "logits" | "independent_logits" | "log_probabilities":
                return scores
            case "independent_probabilities":
                return _log_odds(scores)
            case "logit":
                return torch.cat([-scores / 2, scores / 2], dim=1)
        return self.log_probabilities(scores)

    def logit(self, scores: Tensor, target: Tensor) -> Tensor:
        """Logit of each image's class, B. For probabilities, it is the logarithm of their odds.

        Raises:
            ModelError: The output has no classes.
        """
        match self.kind:
            case "logits" | "independent_logits" | "embedding":
                return pick(scores, target)
            case "independent_probabilities":
                return pick(_log_odds(scores), target)
            case "logit":
                return pick(torch.cat([-scores, scores], dim=1), target)
            case "probability":
                odds = _log_odds(scores)
                return pick(torch.cat([-odds, odds], dim=1), target)
        logs = self.log_probabilities(scores)
        own = functional.one_hot(target, logs.shape[1]).bool()
        # The sum of the others, as 1 minus a probability near 1 would lose its digits.
        return pick(logs, target) - logs.masked_fill(own, -torch.inf).logsumexp(dim=1)


def assumed(scores: Tensor) -> Reading:
    """The reading of an output of which nothing but its shape is known: logits."""
    shape = tuple(scores.shape[1:])
    if len(shape) > 1:
        return Reading("map", shape)
    return Reading("logit" if shape in ((), (1,)) else "logits", shape)


def without_classes(reading: Reading) -> str:
    """A sentence that says that an output has no classes, and how to explain it."""
    other = ", or choose another output, such as output=1" if len(reading.names) > 1 and reading.name is None else ""
    if reading.kind == "map" and "pred_boxes" in reading.names:
        return (
            f"the network's output is {reading.words()}, detections; explain one of its boxes with "
            "objectives.box_score(box, function of the output -> boxes and scores)"
        )
    if reading.kind == "map":
        return (
            f"the network's output is {reading.words()}, not images x classes; use objectives.region(mask, channel) "
            f"to explain a part of it, or objectives.custom{other}"
        )
    return (
        f"the network's output is {reading.words()}, not class scores; use objectives.cosine(embedding) to explain how "
        "alike it is to another, objective='logit' with an index to explain one value, or output='logits' if these are "
        f"class scores{other}"
    )


def pick(values: Tensor, target: Tensor) -> Tensor:
    """The value of each image's class, B, from B x K."""
    return values.gather(1, target.unsqueeze(1)).squeeze(1)


def _log_odds(p: Tensor) -> Tensor:
    return p.clamp_min(_LEAST).log() - (1 - p).clamp_min(1e-7).log()
