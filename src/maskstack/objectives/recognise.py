"""Recognising what a network's output is: from its values, what made it, the network's own words, and its structure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from maskstack.errors import InputError, ModelError
from maskstack.objectives.kind_of_values import kind_of
from maskstack.objectives.origins import Origins
from maskstack.objectives.outputs import as_rows, named_tensors, select_tensor
from maskstack.objectives.reading import KINDS, Kind, Reading
from maskstack.objectives.self_description import stated_inside, stated_problem
from maskstack.objectives.stated import check_stated

Output = int | str | None
"""Choice of an output: its place or name, or a name of :data:`Kind` that says how to read it, or ``NAME:KIND``."""

_ALIASES: Mapping[str, Kind] = {"regression": "number", "numbers": "number", "independent": "independent_probabilities"}


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
    stated = stated_problem(model) or (stated_inside(modules, values.shape[1]) if origin in ("linear", None) else "")
    kind, doubt = kind_of(values.float(), origin, stated, model, shown, names)
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
