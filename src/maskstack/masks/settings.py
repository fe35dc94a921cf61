"""The settings of a mask search, checked when they are made."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maskstack.errors import InputError
from maskstack.masks.fills import FILLS
from maskstack.masks.grids import GridSize, as_grid_size
from maskstack.masks.losses import CONSISTENCIES
from maskstack.masks.stack import STACKS

PARAMETRISATIONS = ("sigmoid", "clip")
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How masks are searched for. The defaults are measured: see the tables of ``docs/choices.md``.

    Attributes:
        sizes: Grid sizes in cells, each a whole number (square) or a pair (height, width).
        joint: Learn the stack of all sizes as one mask, one pass a step; otherwise each size is a problem of its own.
        steps: Steps at most.
        learning_rate: Of Adam.
        mask_weight: Price of an open mask, relative to losing the whole activation.
        removal: Price of the activation that the hidden part would have by itself, relative to losing the whole.
        removal_every: Every how manyth step asks this of the hidden part instead of asking the open part to keep the
            activation; 0 for never.
        smoothness: Price of a mask's contour, in units of the image's side (total variation).
        fill: What shows where a mask is closed; several names take turns, a step each.
        blur: Standard deviation of the blur fill as a share of the image's shorter side.
        consistency: ``one_sided`` (only a fall of the activation is paid), ``squared`` or ``absolute``.
        parametrisation: How values are held in [0, 1]: ``sigmoid`` of a free value, or ``clip`` after each step.
        start: Value of every cell before the first step, inside (0, 1).
        stack: How sizes become one map: ``log_odds`` (mean of the masks' log-odds), ``mean``, ``normalised`` (mean of
            min-max-normalised masks), ``geometric``. A joint search learns the ``log_odds`` stack as it is; for the
            others it learns the mean.
        tolerance: A problem's loss has to fall by more than this ...
        patience: ... within this many steps, or the problem leaves the batch; 0 keeps every problem to the end.
        seed: Seed of what is random in the search (the noise fill).
        batch_size: Masked images in one forward pass at most.
        precision: ``fp32``, or ``bf16`` autocast round the network only.
        channels_last: Hand the network channels-last images.
        fold: Run a private view of the network with its batch norms folded into convolutions, where its answer agrees.
        compile: Run the network through ``torch.compile``, as it is and not folded.
    """

    sizes: tuple[GridSize, ...] = ((3, 3), (7, 7), (14, 14), (28, 28), (56, 56), (112, 112))
    joint: bool = True
    steps: int = 80
    learning_rate: float = 0.6
    mask_weight: float = 2.0
    removal: float = 3.0
    removal_every: int = 2
    smoothness: float = 0.05
    fill: tuple[str, ...] = ("zero", "blur", "noise")
    blur: float = 0.045
    consistency: str = "one_sided"
    parametrisation: str = "sigmoid"
    start: float = 0.65
    stack: str = "log_odds"
    tolerance: float = 1e-3
    patience: int = 10
    seed: int = 0
    batch_size: int = 32
    precision: str = "fp32"
    channels_last: bool = True
    fold: bool = True
    compile: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(as_grid_size(size) for size in _several("sizes", self.sizes, int)))
        object.__setattr__(self, "fill", _several("fill", self.fill, str))
        for name in self.fill:
            one_of("fill", name, FILLS)
        one_of("consistency", self.consistency, CONSISTENCIES)
        one_of("parametrisation", self.parametrisation, PARAMETRISATIONS)
        one_of("stack", self.stack, STACKS)
        one_of("precision", self.precision, PRECISIONS)
        for field in ("joint", "channels_last", "fold", "compile"):
            if not isinstance(getattr(self, field), bool):
                raise InputError(f"{field} is {getattr(self, field)!r}; it must be True or False")
        _whole("steps", self.steps, 1, 100_000)
        _whole("patience", self.patience, 0, 100_000)
        _whole("removal_every", self.removal_every, 0, 1000)
        if self.removal_every == 1:
            raise InputError(
                "removal_every is 1, which leaves no step to keep the activation; use 0 for never, or 2 up"
            )
        _whole("seed", self.seed, 0, 2**63 - 1)
        _whole("batch_size", self.batch_size, 1, 65_536)
        _real("learning_rate", self.learning_rate, 0, 10, open_low=True)
        _real("mask_weight", self.mask_weight, 0, 1000)
        _real("removal", self.removal, 0, 1000)
        _real("smoothness", self.smoothness, 0, 1000)
        _real("blur", self.blur, 0, 1)
        _real("start", self.start, 0, 1, open_low=True, open_high=True)
        _real("tolerance", self.tolerance, 0, 1)

        if self.stack == "log_odds" and self.parametrisation == "clip":
            raise InputError("stack='log_odds' needs parametrisation='sigmoid'; with 'clip' choose stack='mean'")

    def with_(self, **changes: Any) -> SearchSettings:
        """A copy with some fields changed.

        Raises:
            InputError: A name is no field of the settings, or a value is out of its range.

        >>> SearchSettings().with_(steps=10).steps
        10
        """
        names = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            if name not in names:
                close = difflib.get_close_matches(name, names, n=1)
                hint = f"; did you mean {close[0]}?" if close else f"; the settings are {', '.join(names)}"
                raise InputError(f"there is no setting named {name}{hint}")
        return dataclasses.replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON can hold them: tuples become lists."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SearchSettings:
        """The settings from :meth:`as_dict`."""
        return cls().with_(**values)


def one_of(field: str, value: object, allowed: Sequence[str]) -> None:
    """Check that a field has one of the allowed values, and name the field and the nearest of them if not."""
    if value not in allowed:
        close = difflib.get_close_matches(str(value), allowed, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise InputError(f"{field} is {value!r}; it must be one of {', '.join(allowed)}{hint}")


def _several(field: str, value: Any, single: type) -> tuple[Any, ...]:
    """A field's values as a tuple, also where a single one was given."""
    values = (value,) if isinstance(value, single) else value
    if not isinstance(values, list | tuple) or not values:
        raise InputError(f"{field} is {value!r}; give at least one in a list or tuple")
    return tuple(values)


def _whole(field: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(f"{field} is {value!r}; it must be a whole number from {low} to {high}")


def _real(
    field: str, value: object, low: float, high: float, *, open_low: bool = False, open_high: bool = False
) -> None:
    ok = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, int | float):
        # Written so that NaN, which compares with nothing, is out of every range.
        ok = ok and (low < value if open_low else low <= value) and (value < high if open_high else value <= high)
    if not ok:
        left, right = "(" if open_low else "[", ")" if open_high else "]"
        raise InputError(f"{field} is {value!r}; it must be a number in {left}{low:g}, {high:g}{right}")
