"""What a network says of its own output: in its configuration, in its names, and by its structure."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

from torch import nn

from maskstack.objectives.origins import Origin

_EMBEDS = re.compile(r"(^|_)(encode|embed|features?|embeddings?|project)(_|$)|^(encode|embed)[A-Z_]")
"""Names of methods and functions that give embeddings."""

_HEADS = ("fc", "head", "classifier", "head.fc", "heads.head", "heads", "last_linear", "classif")


def stated_problem(model: Any) -> str:
    """The kind of problem that a network of Hugging Face states in its configuration; empty if it states none."""
    return _problem(getattr(_inner(model), "config", None))


def stated_inside(modules: Sequence[nn.Module], count: int) -> str:
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


def is_named_embedding(model: Any) -> bool:
    """Whether the network is a method or function whose name says that it gives an embedding."""
    while isinstance(model, functools.partial):
        model = model.func
    name = getattr(model, "__name__", "") if not isinstance(model, nn.Module) else ""
    return isinstance(name, str) and bool(_EMBEDS.search(name))
