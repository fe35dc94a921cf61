"""Which modules and tensors a callable reaches: through itself, its closure, its arguments and the globals it names."""

from __future__ import annotations

import contextlib
import functools
import sys
import types
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

MOST_OBJECTS = 20_000
"""The walk ends after this many objects, so that a callable that holds a data set does not delay the explanation."""

MOST_ITEMS = 1000
"""Of longer containers, only this many items are visited."""

_LIBRARIES = frozenset(("torch", "torchvision", "timm", "transformers", "numpy", "captum", "onnx2torch"))
"""Packages whose own functions are not searched for globals, because they name no module of a user."""

_TABLES = frozenset(vars(nn.Module()))


@dataclass
class Reach:
    """What a callable reaches.

    Attributes:
        roots: The modules by which it was entered, without those inside other roots.
        modules: All modules, each once.
        parameters: All parameters, and all other leaf tensors that require gradients.
        tensors: Tensors and arrays that belong to no module, such as a table that a closure holds.
    """

    roots: list[nn.Module] = field(default_factory=list)
    modules: list[nn.Module] = field(default_factory=list)
    parameters: list[Tensor] = field(default_factory=list)
    tensors: list[Any] = field(default_factory=list)


def reach(model: Any) -> Reach:
    """Find the modules and tensors that a callable reaches.

    Followed are the object of a bound method, closures, partials, decorated functions, default values, attributes of
    objects, containers, weak references, classes, and the globals that a function's code names, also those of the
    methods of a user's module. Not found is what the code looks up by a computed name.

    >>> net = nn.Linear(2, 2)
    >>> reach(lambda images: net(images).relu()).roots == [net]
    True
    """
    found = Reach()
    seen: set[int] = set()
    waiting = deque[Any]([model])  # what is near comes first, as there is a limit
    keep: list[Any] = []  # so that no id is given twice
    classes: set[type] = set()  # those whose attributes were visited: all objects of a class share them
    while waiting and len(seen) < MOST_OBJECTS:
        each = waiting.popleft()
        if id(each) in seen or isinstance(each, _ATOMS):
            continue
        seen.add(id(each))
        keep.append(each)
        if isinstance(each, nn.Module):
            found.roots.append(each)
            for module in each.modules():
                if module is each or id(module) not in seen:
                    seen.add(id(module))
                    found.modules.append(module)
                    waiting += _of_module(module, classes)
        elif isinstance(each, Tensor | np.ndarray):
            found.tensors.append(each)
        else:
            waiting += _parts(each, classes)
    if found.tensors:
        owned = {id(own) for module in found.modules for own in _own_tensors(module)}
        found.tensors = [tensor for tensor in found.tensors if id(tensor) not in owned]
    if len(found.roots) > 1:
        inside = {id(child) for module in found.roots for child in module.modules() if child is not module}
        found.roots = [root for root in found.roots if id(root) not in inside]
    found.parameters = _parameters(found)
    return found


_ATOMS = (str, bytes, int, float, complex, bool, type(None), type, torch.device, torch.dtype, types.BuiltinFunctionType)


def _own_tensors(module: nn.Module) -> Iterator[Tensor | None]:
    yield from module._parameters.values()
    yield from module._buffers.values()


def _parameters(found: Reach) -> list[Tensor]:
    every: dict[int, Tensor] = {}
    for module in found.modules:
        every |= {id(each): each for each in module._parameters.values() if each is not None}
    for tensor in found.tensors:
        if isinstance(tensor, Tensor) and tensor.is_leaf and tensor.requires_grad:
            every[id(tensor)] = tensor
    return list(every.values())


def _of_module(module: nn.Module, classes: set[type]) -> Iterator[Any]:
    """What a module holds besides its registered parts, and what the globals named by its ``forward`` hold."""
    if isinstance(module, torch.jit.ScriptModule):
        return
    plain = type(module).__module__.startswith("torch.nn.")  # their lists are strides and the like
    for name, value in vars(module).items():
        if name not in _TABLES and not isinstance(value, _ATOMS) and not (plain and isinstance(value, list | tuple)):
            yield value
    yield from _of_class(type(module), classes)


def _parts(each: Any, classes: set[type]) -> Iterator[Any]:
    """The objects that one object refers to, as far as its code can call them."""
    if isinstance(each, types.MethodType):
        # A class, for a class method.
        yield from _of_class(each.__self__, classes) if isinstance(each.__self__, type) else (each.__self__,)
        yield each.__func__
    elif isinstance(each, functools.partial | functools.partialmethod):
        yield each.func
        yield from each.args
        yield from each.keywords.values()
    elif isinstance(each, types.FunctionType):
        yield from _of_function(each)
    elif isinstance(each, weakref.ReferenceType):
        yield each()
    elif isinstance(each, Mapping):
        yield from _some(each.values())
    elif isinstance(each, list | tuple | set | frozenset):
        yield from _some(each)
    elif isinstance(each, types.ModuleType | types.CodeType):
        return
    else:
        yield from _of_object(each, classes)


def _of_function(function: types.FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    yield from vars(function).values()  # a decorator's __wrapped__, a compiled function's original
    if _is_library(function):
        return
    names = list(_names(function.__code__))
    for name in names:
        # A module that the function imports itself is not among its globals.
        value = function.__globals__.get(name, sys.modules.get(name))
        if isinstance(value, types.ModuleType):
            # ``networks.encoder(images)``: an attribute of an imported Python module, other than a library's.
            if value.__name__.partition(".")[0] not in _LIBRARIES | sys.stdlib_module_names:
                yield from (vars(value).get(attribute) for attribute in names)
        else:
            yield value


def _is_library(function: types.FunctionType) -> bool:
    return (function.__module__ or "").partition(".")[0] in _LIBRARIES


def _names(code: types.CodeType) -> Iterator[str]:
    """The global and attribute names of a function's code, those of functions inside it included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _of_object(each: Any, classes: set[type]) -> Iterator[Any]:
    if type(each).__module__.partition(".")[0] in sys.stdlib_module_names:
        return
    yield from list(getattr(each, "__dict__", {}).values())
    for kind in type(each).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            slot = vars(kind).get(name)
            if isinstance(slot, types.MemberDescriptorType):
                with contextlib.suppress(AttributeError):  # not assigned yet
                    yield slot.__get__(each)
    yield from _of_class(type(each), classes)


def _of_class(kind: type, classes: set[type]) -> Iterator[Any]:
    """What the methods, properties and attributes of a user's class refer to, for each class once."""
    for base in kind.__mro__:
        if base in classes or base.__module__.partition(".")[0] in _LIBRARIES | sys.stdlib_module_names:
            continue
        classes.add(base)
        for value in list(vars(base).values()):
            if isinstance(value, property):
                yield value.fget
            elif isinstance(value, staticmethod | classmethod):
                yield value.__func__
            elif isinstance(value, functools.cached_property):
                yield value.func
            else:
                yield value


def _some(values: Any) -> Iterator[Any]:
    for number, value in enumerate(list(values)):
        if number == MOST_ITEMS:
            return
        yield value
