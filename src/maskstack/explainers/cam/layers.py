"""Choosing the layer from which a class activation map is read, and converting its output to a grid."""

from __future__ import annotations

import difflib
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from maskstack.errors import InputError, ModelError
from maskstack.explainers.cam.token_grid import Size, fits, token_grid
from maskstack.objectives.outputs import find_tensor

Layout = Literal["channels first", "channels last", "tokens"]

NO_LAYERS = "no layer of the network has a spatial output; use a method that needs no layer, such as MDM or RISE"

# They return their input, or lose the positions.
_PASSING = (nn.Identity, nn.modules.dropout._DropoutNd, nn.modules.pooling._AdaptiveAvgPoolNd)


@dataclass(frozen=True)
class FoundLayer:
    """A layer whose output lies on a grid over the image.

    Attributes:
        name: Its dotted name in the network.
        module: The layer.
        channels: Number of channels of its output.
        grid: Height and width of its output, in cells.
        layout: ``channels first`` (B x C x h x w), ``channels last`` (B x h x w x C) or ``tokens`` (B x T x C).
        prefix: Number of tokens at the front that do not have a position in the image.
        call: Index of the selected call of the layer in a run of the network, from 0.
        calls: How often it is called in a run.
    """

    name: str
    module: nn.Module
    channels: int
    grid: Size
    layout: Layout
    prefix: int = 0
    call: int = 0
    calls: int = 1

    def on_grid(self, output: Tensor) -> Tensor:
        """The layer's output, or a gradient of it, as B x C x h x w, float32."""
        if self.layout == "tokens":
            output = output[:, self.prefix :].reshape(len(output), *self.grid, -1)
        return (output if self.layout == "channels first" else output.movedim(-1, 1)).float()

    @property
    def channel_axis(self) -> int:
        """Index of the output's channel dimension."""
        return 1 if self.layout == "channels first" else -1

    def notes(self) -> Mapping[str, str]:
        """Information about the layer for the reader of the map."""
        which = f", call {self.call + 1} of {self.calls}" if self.calls > 1 else ""
        notes = {"layer": self.name + which, "grid": f"{self.grid[0]} x {self.grid[1]}"}
        if self.layout == "tokens":
            notes["tokens"] = f"{self.prefix} at the front left out, as they belong to no place"
        return notes


@dataclass(frozen=True)
class _Run:
    """A call of a layer: its output, the index of the call, and the grid of the last convolution before it."""

    name: str
    module: nn.Module
    output: tuple[int, ...] | str
    call: int
    calls: int
    patches: Size | None


def layer_name(model: nn.Module, layer: str | int | nn.Module) -> str:
    """The dotted name of a layer, checked.

    Raises:
        InputError: The network has no such layer.
    """
    names: dict[str, nn.Module] = {name: module for name, module in model.named_modules() if name}
    if isinstance(layer, nn.Module):
        for name, module in names.items():
            if module is layer:
                return name
        raise InputError(f"the layer {type(layer).__name__} is not a submodule of the network; give one of its layers")
    if str(layer) in names:
        return str(layer)
    close = difflib.get_close_matches(str(layer), names, n=3) or list(names)[-3:]
    hint = f"did you mean {' or '.join(close)}?" if close else NO_LAYERS
    raise InputError(f"the network has no layer {str(layer)!r}; {hint}")


def find_layer(
    model: nn.Module,
    layer: str | int | nn.Module | None = None,
    *,
    image: Tensor,
    call: Callable[[Tensor], Any] | None = None,
) -> FoundLayer:
    """Find the layer to read a map from, by running one image and checking the output of each layer.

    If no layer is given, the last one that keeps the spatial positions is used: before the pooling, and before the
    class maps of a network without a linear head. In a transformer that classifies by a class token, the other tokens
    get no gradient at the end of the last block, so the first norm of that block is used. If a layer is called more
    than once in a run, such as one activation module for all blocks, its last call is used.

    Args:
        model: The network; its hooks are as before when this returns or raises.
        layer: A submodule or its dotted name, or None.
        image: 1 x C x H x W.
        call: Function that runs the network on the image; by default, the network is called.

    Raises:
        InputError: There is no such layer, it is not called, or its output is not a spatial grid.
        ModelError: The network has no suitable layer.
    """
    if not isinstance(model, nn.Module):
        raise ModelError(NO_LAYERS)
    name = None if layer is None else layer_name(model, layer)
    runs, classes = _watch(model, image, call or model)
    size = (image.shape[2], image.shape[3])
    inferred = _infer(runs, size, classes, model)
    if name is not None:
        return _named(name, runs, size, f"choose another, such as {inferred.name}" if inferred else "use MDM or RISE")
    if inferred is None:
        raise ModelError(NO_LAYERS)
    return inferred


def in_this_thread(hook: Callable[..., Any]) -> Callable[..., Any]:
    """A hook that does nothing in other threads, which may use the network meanwhile."""
    thread = threading.get_ident()
    return lambda *given: hook(*given) if threading.get_ident() == thread else None


def _watch(model: nn.Module, image: Tensor, call: Callable[[Tensor], Any]) -> tuple[list[_Run], int | None]:
    """Every submodule that was run, in the order in which they ended, and the number of classes."""
    names = {module: name for name, module in model.named_modules() if name}
    ended: list[tuple[nn.Module, tuple[int, ...] | str]] = []

    def look(module: nn.Module, _inputs: Any, output: Any) -> None:
        ended.append((module, tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__))

    # A pass is run again if random numbers were drawn in it, for example; the last one counts.
    handles = [model.register_forward_pre_hook(in_this_thread(lambda *_: ended.clear()))]
    try:
        for module in names:
            handles.append(module.register_forward_hook(in_this_thread(look)))
        with torch.no_grad():
            output = call(image)
    finally:
        for handle in handles:
            handle.remove()
    calls = Counter(module for module, _ in ended)
    before: Counter[nn.Module] = Counter()
    patches: Size | None = None
    runs = []
    for module, shape in ended:
        runs.append(_Run(names[module], module, shape, before[module], calls[module], patches))
        before[module] += 1
        if isinstance(module, nn.Conv2d) and len(shape) == 4:
            grid = (int(shape[2]), int(shape[3]))
            patches = grid if fits(grid, (image.shape[2], image.shape[3])) else patches
    return runs, _classes(output)


def _classes(output: Any) -> int | None:
    try:
        scores = find_tensor(output)
    except ModelError:
        # The output of a detector, for example; it needs its own objective.
        return None
    return scores.shape[1] if scores.ndim == 2 else None


def _infer(runs: list[_Run], size: Size, classes: int | None, model: nn.Module) -> FoundLayer | None:
    able = [run for run in runs if not isinstance(run.module, _PASSING)]
    found = [layer for run in able if (layer := _read(run, size, strict=True))]
    found = found or [layer for run in able if (layer := _read(run, size, strict=False))]
    # Class maps come from a last convolution. With a linear layer for the classes, an equal number is a coincidence.
    if not any(isinstance(run.module, nn.Linear) and run.output[-1:] == (classes,) for run in runs):
        found = [layer for layer in found if layer.channels != classes] or found
    if not found:
        return None
    if found[-1].layout == "tokens":
        return _first_norm_of_last_block(found, model) or found[-1]
    return found[-1]


def _first_norm_of_last_block(found: list[FoundLayer], model: nn.Module) -> FoundLayer | None:
    modules = dict(model.named_modules())
    norms = [
        layer
        for layer in found
        if layer.layout == "tokens" and "Norm" in type(layer.module).__name__ and not list(layer.module.children())
    ]
    for last in reversed(norms):
        block = last.name
        while "." in block:
            parent = block.rpartition(".")[0]
            kinds = [type(module) for module in modules[parent].children()]
            # Blocks are in a list of several modules of one class; the norm after the blocks is not in such a list.
            if block != last.name and len(kinds) > 1 and len(set(kinds)) == 1:
                return next(layer for layer in norms if layer.name.startswith(block + "."))
            block = parent
    return None


def _named(name: str, runs: list[_Run], size: Size, instead: str) -> FoundLayer:
    run = next((run for run in reversed(runs) if run.name == name), None)
    if run is None:
        raise InputError(f"the layer {name} is not called when the network runs; {instead}")
    if isinstance(run.output, str):
        raise InputError(f"the layer {name} gives a {run.output}, not a tensor; {instead}")
    found = _read(run, size, strict=True) or _read(run, size, strict=False)
    if found is None:
        shape = " x ".join(map(str, run.output))
        raise InputError(f"the layer {name} gives {shape}, in which there is no height and width; {instead}")
    return found


def _read(run: _Run, size: Size, *, strict: bool) -> FoundLayer | None:
    """The layer with its grid, or None; if strict, the grid must have the image's aspect ratio."""
    if isinstance(run.output, str) or len(run.output) not in (3, 4):
        return None
    which = {"call": run.call, "calls": run.calls}
    if len(run.output) == 3:
        read = token_grid(run.output[1], image=size, patches=run.patches)
        return read and FoundLayer(run.name, run.module, run.output[2], read[1], "tokens", read[0], **which)
    _batch, *dims = run.output
    first, last = (dims[1], dims[2]), (dims[0], dims[1])
    if max(first) > 1 and (fits(first, size) or not strict):
        return FoundLayer(run.name, run.module, dims[0], first, "channels first", **which)
    if max(last) > 1 and fits(last, size):
        return FoundLayer(run.name, run.module, dims[2], last, "channels last", **which)
    return None
