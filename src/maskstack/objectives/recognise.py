"""Recognising what a network's output is: from its values, what made it, the network's own words, and its structure."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from maskstack.errors import InputError, ModelError
from maskstack.objectives.origins import Origin, Origins
from maskstack.objectives.outputs import named_tensors, select_tensor
from maskstack.objectives.reading import KINDS, Kind, Reading
from maskstack.objectives.stated import check_stated

Output = int | str | None
"""Choice of an output: its place or name, or a name of :data:`Kind` that says how to read it, or ``NAME:KIND``."""

_ALIASES: Mapping[str, Kind] = {"regression": "number", "numbers": "number", "independent": "independent_probabilities"}

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


_EMBEDS = re.compile(r"(^|_)(encode|embed|features?|embeddings?|project)(_|$)|^(encode|embed)[A-Z_]")
"""Names of methods and functions that give embeddings."""

_HEADS = ("fc", "head", "classifier", "head.fc", "heads.head", "heads", "last_linear", "classif")
_EMBEDDING_NAMES = frozenset({
    "pooler_output", "image_embeds", "image_features", "embedding", "embeddings", "features", "feature",
    "last_hidden_state",
})  # fmt: skip


def recognise(
    outputs: Sequence[Any],
    *,
    origins: Origins | None = None,
    model: Any = None,
    modules: Sequence[nn.Module] = (),
    choice: Output = None,
    names: int = 0,
) -> Reading:
    """Read what an output is.

    Args:
        outputs: The network's raw output for the images, in one part or several.
        origins: What was observed while they were made; None if nothing was.
        model: The network.
        modules: The modules that it reaches, where it is a function or a wrapper of them.
        choice: The user's choice of an output, of its kind, or of both.
        names: Number of class names that are known; 0 for none.

    Raises:
        InputError: There is no such output or kind.
        ModelError: The output has no tensor, several of which none is known to be the result, or no real numbers.
    """
    named = named_tensors(outputs[0])
    wanted, kind = _resolve(choice, list(named))
    first = select_tensor(outputs[0], wanted)
    parts = [select_tensor(output, wanted) for output in outputs]
    _check_values(first)
    shapes = {tuple(part.shape): None for part in parts}
    if len({(len(shape), shape[1:]) for shape in shapes}) > 1:
        raise ModelError(
            f"the network's output has shapes {' and '.join(map(str, list(shapes)[:2]))} for different images; it must "
            "give one row of the same shape for each image: keep the batch dimension first, without squeeze(), or pass "
            "an objective that reads it: objectives.custom(function of the output -> one number per image)"
        )
    values = as_rows(torch.cat([part.detach() for part in parts]) if len(parts) > 1 else parts[0].detach())
    shown = next((name for name, each in named.items() if each is first), "")
    several = tuple(named) if len(named) > 1 else ()
    found = Reading("map", tuple(values.shape[1:]), wanted, shown if several else "", several)
    if kind is not None:
        kind = _fitting(kind, found)
        check_stated(kind, values.float(), f"{wanted}:" if wanted else "")
        return replace(found, kind=kind)
    several_doubt = ""
    if several and wanted is None and shown not in ("logits", "out"):
        several_doubt = f"the network has several outputs, of which {shown} is explained; choose another with output="
    if values.ndim > 2:
        return replace(found, doubt=several_doubt)
    origin = None if origins is None else origins.of(first)
    stated = _stated(model) or (_stated_inside(modules, values.shape[1]) if origin in ("linear", None) else "")
    kind, doubt = _kind(values.float(), origin, stated, model, shown, names)
    return replace(found, kind=kind, doubt=several_doubt or doubt)


def _check_values(output: Tensor) -> None:
    """Check that an output holds real numbers.

    Raises:
        ModelError: It is empty, complex, sparse or quantized.
    """
    if output.is_sparse or output.is_quantized or output.layout is not torch.strided:
        raise ModelError(
            "the network's output is a sparse, nested or quantized tensor; give an ordinary one, by to_dense(), "
            "to_padded_tensor() or dequantize()"
        )
    if output.numel() == 0:
        raise ModelError(f"the network's output has shape {tuple(output.shape)}, which holds no values; check its head")
    if output.is_complex():
        raise ModelError("the network's output is complex; give real numbers, such as its absolute value")


def as_rows(output: Tensor) -> Tensor:
    """The output as B x K where it has no positions: B becomes B x 1, and dimensions of 1 at its end are removed."""
    if output.ndim == 0:
        return output.reshape(1, 1)
    while output.ndim > 2 and output.shape[-1] == 1:
        output = output.squeeze(-1)
    return output.unsqueeze(1) if output.ndim == 1 else output


def _resolve(choice: Output, names: list[str]) -> tuple[str | None, Kind | None]:
    """Name of the chosen output and the chosen kind."""
    if choice is None or not names:  # an output without tensors is reported where one is looked for
        return None, None
    if isinstance(choice, int) and not isinstance(choice, bool):
        if not -len(names) <= choice < len(names):
            raise InputError(f"output {choice} is out of range; the network has {len(names)}: {', '.join(names)}")
        return names[choice], None
    text = str(choice)
    if text in names:
        # A key like "probabilities" says both what is chosen and what it is.
        return text, next((kind for kind in KINDS if kind == text), None)
    head, colon, tail = text.rpartition(":")
    kind = next((kind for kind in KINDS if kind == _ALIASES.get(tail, tail)), None)
    if kind is not None and (not colon or head in names):
        return (head if colon else None), kind
    raise InputError(
        f"output {text!r} is neither an output of the network ({', '.join(names[:8])}) nor a kind of output "
        f"({', '.join(KINDS)}); write NAME, KIND or NAME:KIND"
    )


def _fitting(kind: Kind, found: Reading) -> Kind:
    """The kind as the user chose it, for an output of this shape."""
    if len(found.shape) > 1 and kind != "map":
        raise InputError(f"the output is {found.words()}, so it cannot be read as {kind}; leave out output={kind}")
    if found.classes == 1:
        return {"logits": "logit", "independent_logits": "logit"}.get(kind) or {  # type: ignore[return-value]
            "probabilities": "probability", "independent_probabilities": "probability"
        }.get(kind, kind)  # fmt: skip
    if kind in ("logit", "probability"):
        several = "logits" if kind == "logit" else "probabilities"
        raise InputError(f"the output has {found.classes} values, so it is not a single {kind}; write output={several}")
    return kind


def _kind(values: Tensor, origin: Origin | None, stated: str, model: Any, shown: str, names: int) -> tuple[Kind, str]:
    """Kind of an output B x K, and the doubt about it."""
    if not torch.isfinite(values).all():
        return ("logit" if values.shape[1] == 1 else "logits"), ""  # reported as NaN or infinite by what follows
    if values.shape[1] == 1:
        return _single(values, origin, stated, names)
    return _several(values, origin, stated, model, shown, names)


def _single(values: Tensor, origin: Origin | None, stated: str, names: int) -> tuple[Kind, str]:
    unit = bool(values.min() >= 0 and values.max() <= 1)
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
    if count >= MANY and (origin == "features" or _is_named_embedding(model)):
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
    if unit and _all_near(sums, 1):
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


def _all_near(sums: Tensor, value: float) -> bool:
    """Whether all sums have this value, up to rounding."""
    return bool(((sums - value).abs() < 10 * ROUNDING).all())


def _is_named_embedding(model: Any) -> bool:
    """Whether the network is a method or function whose name says that it gives an embedding."""
    while isinstance(model, functools.partial):
        model = model.func
    name = getattr(model, "__name__", "") if not isinstance(model, nn.Module) else ""
    return isinstance(name, str) and bool(_EMBEDS.search(name))


def _choose(*kinds: str) -> str:
    return "if so, say it with " + " or ".join(f"output={kind}" for kind in kinds)


def _stated(model: Any) -> str:
    """The kind of problem that a network of Hugging Face states in its configuration; empty if it states none."""
    return _problem(getattr(_inner(model), "config", None))


def _stated_inside(modules: Sequence[nn.Module], count: int) -> str:
    """The kind of problem that the modules within a function or a wrapper state for an output of this many values."""
    configs = {id(config): config for module in modules if (config := getattr(module, "config", None)) is not None}
    found = {_problem(config) for config in configs.values() if getattr(config, "num_labels", None) == count}
    return found.pop() if len(found) == 1 else ""


def _problem(config: Any) -> str:
    problem = getattr(config, "problem_type", None)
    if problem is None and getattr(config, "num_labels", None) == 1:
        return "regression"  # as transformers itself takes a single label
    return problem if isinstance(problem, str) else ""


def headless(model: Any, origin: Origin | None = None) -> bool:
    """Whether a network was built without its class head, so that its output is an embedding."""
    inner = _inner(model)
    if not isinstance(inner, nn.Module):
        return False
    if getattr(inner, "num_classes", None) == 0:
        return True
    named = dict(inner.named_modules())
    heads = [named[name] for name in _HEADS if name in named and not list(named[name].children())]
    return bool(heads) and all(isinstance(head, nn.Identity) for head in heads) and origin != "softmax"


def _inner(model: Any) -> Any:
    """The network within wrappers: the last of a Sequential, the only child of a module."""
    while isinstance(model, nn.Module) and type(model).__module__.partition(".")[0] not in ("timm", "transformers"):
        children = list(model.children())
        if isinstance(model, nn.Sequential) and children:
            model = children[-1]
        elif len(children) == 1 and not list(model.parameters(recurse=False)):
            model = children[0]
        else:
            break
    return model


def _unit_length(values: Tensor) -> bool:
    return values.shape[1] >= 4 and bool(((values.norm(dim=1) - 1).abs() < 1e-3).all())
