"""A private view of a network: the same outputs with fewer operations, with batch norms folded into convolutions.

Pairs of convolution and batch norm are found by observing one forward pass, which is needed anyway. The view runs the
network's own code on shallow copies of its modules, so its control flow is not frozen as in a traced graph. Attributes
that the network sets on itself do not reach the user's object. Only folded convolutions have weights of their own.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode

from maskstack.observing import TensorNotes, seen_by
from maskstack.scoring.exclusive import Gate

Pair = tuple[nn.Conv2d, nn.BatchNorm2d]

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
# Looked up by name, because not every release of PyTorch has all of these tables.
_GLOBAL_HOOKS = tuple(f"_global{name}" for name in _HOOKS)
_TABLES = tuple(name for name, value in vars(nn.Module()).items() if isinstance(value, dict | set))
_METADATA_METHODS = frozenset(
    {"dim", "size", "ndimension", "numel", "stride", "is_contiguous", "is_floating_point", "__len__"}
)
"""Methods that read a tensor's shape or type, and not its values."""


class OtherPathError(Exception):
    """The network took another path than in the observed pass, so the view's output is not valid."""


class PairFinder(TorchFunctionMode):
    """Finds, within its context, each convolution whose output goes to one batch norm and nowhere else.

    Args:
        model: The network, in evaluation mode. Nothing is recorded for a module that has hooks, because they may read
            or change its tensors, or for one that was compiled, scripted or given another ``forward``.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        modules = list(model.modules())
        plain = not any(getattr(torch_module, table, None) for table in _GLOBAL_HOOKS) and all(map(_is_plain, modules))
        self.convolutions = {
            id(m.weight): m for m in modules if plain and isinstance(m, nn.Conv2d) and _has_own_weight(m)
        }
        self.norms = {
            id(m.running_mean): m for m in modules if plain and isinstance(m, nn.BatchNorm2d) and _is_known(m)
        }
        self.calls: Counter[nn.Module] = Counter()
        self.users: dict[nn.Module, list[nn.Module | None]] = {}
        self._made_by = TensorNotes[nn.Module]()

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the function, and note which module made and which module uses each tensor."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name in _METADATA_METHODS or (name == "__get__" and not isinstance(result, Tensor)):
            return result
        given = list(_tensors((args, kwargs)))
        norm = _the_one(self.norms, given) if name == "batch_norm" else None
        if norm is not None:
            self.calls[norm] += 1
        for tensor in given:
            if (maker := self._made_by.of(tensor)) is not None:
                self.users[maker].append(norm)
        convolution = _the_one(self.convolutions, given) if name == "conv2d" else None
        if convolution is not None:
            self.calls[convolution] += 1
            self.users.setdefault(convolution, [])
            self._made_by.put(result, convolution)
        return result

    def observe(self, images: Tensor) -> Any:
        """Run the network within the context; of a pass that is run again, only the last counts."""
        self.calls.clear()
        self.users.clear()
        self._made_by.clear()
        with seen_by(self):
            return self.model(images)

    @property
    def can_fold(self) -> bool:
        """Whether the network has convolutions and batch norms that could be folded."""
        return bool(self.convolutions and self.norms)

    def pairs(self) -> list[Pair]:
        """Pairs in which both modules were called once and only this batch norm used the convolution's output."""
        found = []
        for convolution in self.convolutions.values():
            match self.users.get(convolution, []):
                case [nn.BatchNorm2d() as norm] if self.calls[norm] == 1 == self.calls[convolution]:
                    found.append((convolution, norm))
        return found


class View:
    """The network with these pairs folded.

    Args:
        model: The network, in evaluation mode; it is only read.
        pairs: The pairs that :meth:`PairFinder.pairs` found, at least one.
        layout: Memory format of the folded weights.
    """

    def __init__(self, model: nn.Module, pairs: Sequence[Pair], *, layout: torch.memory_format) -> None:
        copies = {id(module): _shallow(module) for module in model.modules()}
        self.links = [_Link() for _ in pairs]
        for (convolution, norm), link in zip(pairs, self.links, strict=True):
            _fold(copies[id(convolution)], convolution, norm, layout)
            copies[id(convolution)].register_forward_hook(link.opened)
            copies[id(norm)] = _Folded(link, [norm.drop, norm.act] if _is_timm_norm(norm) else [])  # type: ignore[list-item]
        for each in copies.values():
            for name, child in each._modules.items():
                # The replacement of a norm has copies, or modules without state, as its children.
                each._modules[name] = None if child is None else copies.get(id(child), child)
        self.model = copies[id(model)]

    def __call__(self, images: Tensor) -> Any:
        """The network's output.

        Raises:
            OtherPathError: The network took another path than in the observed pass.
        """
        try:
            output = self.model(images)
            if not all(link.passed and link.waiting is None for link in self.links):
                raise OtherPathError
        finally:
            for link in self.links:
                link.waiting, link.passed = None, False
        return output


def agree(answers: Any, expected: Any, *, tolerance: float) -> bool:
    """Whether two outputs hold the same tensors; the tolerance is a share of each tensor's largest value.

    Outputs without a tensor never agree.

    >>> agree({"logits": torch.tensor([1.0, 2.0])}, {"logits": torch.tensor([1.0, 2.001])}, tolerance=1e-2)
    True
    """
    left, right = list(_tensors(answers)), list(_tensors(expected))
    return len(left) == len(right) > 0 and all(_close(a, b, tolerance) for a, b in zip(left, right, strict=True))


def first_row(output: Any, count: int) -> list[Tensor]:
    """The tensors of an output for ``count`` images; those with one row per image are cut to the first row."""
    # Sparse tensors, which cannot be explained, cannot be cut either.
    dense = [tensor for tensor in _tensors(output) if tensor.layout is torch.strided]
    return [tensor[:1] if tensor.ndim and len(tensor) == count else tensor for tensor in dense]


class _Link:
    """Checks that a batch norm's replacement receives only the output of its folded convolution."""

    def __init__(self) -> None:
        self.waiting: Tensor | None = None
        self.passed = False

    def opened(self, _convolution: nn.Module, _inputs: Any, output: Tensor) -> None:
        if self.waiting is not None:
            raise OtherPathError
        self.waiting = output

    def close(self, values: Tensor) -> None:
        if values is not self.waiting:
            raise OtherPathError
        self.waiting, self.passed = None, True


class _Folded(nn.Module):
    """Replaces a batch norm; runs what the norm did besides normalising."""

    def __init__(self, link: _Link, after: Sequence[nn.Module]) -> None:
        super().__init__()
        self.link, self.after = link, nn.Sequential(*after)
        self.eval()

    def forward(self, values: Tensor) -> Tensor:
        self.link.close(values)
        passed: Tensor = self.after(values)
        return passed


def _is_plain(module: nn.Module) -> bool:
    own = vars(module)
    hooks = [hook for name in _HOOKS for hook in (own.get(name) or {}).values() if not isinstance(hook, Gate)]
    changed = "forward" in own or own.get("_compiled_call_impl") is not None or bool(hooks)
    return not changed and not isinstance(module, torch.jit.ScriptModule)


def _has_own_weight(convolution: nn.Conv2d) -> bool:
    # A parametrised weight is not a parameter of its module. In half precision, the product would be rounded again.
    weight = convolution._parameters.get("weight")
    return weight is not None and weight.dtype in (torch.float32, torch.float64)


def _is_known(norm: nn.BatchNorm2d) -> bool:
    """Whether the norm is of a known class and has running statistics."""
    return (type(norm) is nn.BatchNorm2d or _is_timm_norm(norm)) and norm.running_mean is not None


def _is_timm_norm(module: nn.Module) -> bool:
    """Whether a module is timm's batch norm with an activation; by its name, as timm need not be installed."""
    kind = type(module)
    return kind.__name__ == "BatchNormAct2d" and kind.__module__.startswith("timm.") and hasattr(module, "act")


def _the_one(known: Mapping[int, Any], given: Iterable[Tensor]) -> Any:
    return next((known[id(tensor)] for tensor in given if id(tensor) in known), None)


def _shallow(module: nn.Module) -> nn.Module:
    """Another object with the same class and attributes, but with its own parameter, buffer and module tables."""
    # Not copy.copy, which for some classes (graph modules) does more than copy.
    twin: nn.Module = object.__new__(type(module))
    twin.__dict__.update(vars(module))
    twin.__dict__.update({name: copy.copy(vars(module)[name]) for name in _TABLES if name in vars(module)})
    return twin


def _fold(twin: nn.Module, convolution: nn.Conv2d, norm: nn.BatchNorm2d, layout: torch.memory_format) -> None:
    # In double precision: a rounding error here would affect every pass.
    weight, bias, mean, variance, scale, shift = (
        None if each is None else each.detach().double()
        for each in (convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    if weight is None or mean is None or variance is None:
        raise AssertionError("a batch norm without statistics was treated as one with them")
    found = fuse_conv_bn_weights(weight, bias, mean, variance, norm.eps, scale, shift)
    for name, wide in zip(("weight", "bias"), found, strict=True):
        value = wide.detach().to(convolution.weight.dtype)
        value = value.contiguous(memory_format=layout) if value.ndim == 4 else value
        twin._parameters[name] = nn.Parameter(value, requires_grad=False)


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists, mappings and plain objects, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _tensors(each)


def _close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not a.is_floating_point() or not a.numel():
        return torch.equal(a, b)
    largest = float(b.nan_to_num(0, 0, 0).abs().max())
    return torch.allclose(a, b, rtol=0, atol=tolerance * largest, equal_nan=True)
