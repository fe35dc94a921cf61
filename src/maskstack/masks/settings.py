"""The settings of a mask search, checked when they are made."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, get_args

from maskstack import checks
from maskstack.errors import InputError
from maskstack.masks.fills import FILLS, Fill
from maskstack.masks.grids import GridSize, as_grid_size
from maskstack.masks.losses import CONSISTENCIES, Consistency
from maskstack.masks.opening import OPENINGS
from maskstack.masks.stack import STACKS, Stack
from maskstack.speed import Speed

Parametrisation = Literal["sigmoid", "clip"]


class RunningOptions(TypedDict):
    """How the network is run."""

    batch_size: int
    speed: Speed
    seed: int


class SearchOptions(TypedDict, total=False):
    """The fields of :class:`SearchSettings` as keyword options, each with what it accepts."""

    sizes: Sequence[int | GridSize] | int
    joint: bool
    members: int
    steps: int
    shift: float
    learning_rate: float
    slow_fine: float
    damping: float
    mask_weight: float
    removal: float
    removal_every: int
    smoothness: float
    grid_blur: float
    fill: Sequence[Fill] | Fill
    blur: float
    consistency: Consistency
    parametrisation: Parametrisation
    start: float
    stack: Stack
    keep: float
    tolerance: float
    patience: int
    seed: int
    batch_size: int
    speed: Speed


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How masks are searched for. The defaults were chosen by measurement, see ``docs/choices.md``.

    Attributes:
        sizes: Grid sizes in cells, each a whole number (square) or a pair (height, width).
        joint: Learn the stack of all sizes as one mask, with one pass for each step; otherwise learn each size alone.
        members: Number of independent searches of each image, side by side, whose masks are averaged.
        steps: Maximum number of steps of each member.
        shift: Image and mask are shifted together in each step, by at most this share of the shorter side.
        learning_rate: Adam's learning rate.
        slow_fine: Exponent that lowers the learning rate of grids finer than 14 cells; 0 gives all grids the same rate.
        damping: Weight in Adam of the grid's mean second moment, relative to each cell's own; 0 is plain Adam.
        mask_weight: Weight of the mask's mean value in the loss; losing the whole score has weight 1.
        removal: Weight of the score of the hidden part in the loss; losing the whole score has weight 1.
        removal_every: Apply the removal loss, in place of consistency, at every n-th step; 0 disables it.
        smoothness: Weight of the mask's total variation: the length of its contour, in units of the image's side.
        grid_blur: Standard deviation, as a share of the image's shorter side, of a Gaussian blur that is part of the
            upsampling of the grids; it hides the corners of their cells.
        fill: What replaces the image where a mask is closed; several fills are used in turn, one for each step.
        blur: Standard deviation of the blur fill, as a share of the image's shorter side.
        consistency: one_sided (only a fall of the score is penalised), squared or absolute.
        parametrisation: How values stay in [0, 1]: sigmoid of a free value, or clip after each step.
        start: Value of every cell before the first step, inside (0, 1).
        stack: How sizes become one map: log_odds (mean of the masks' log-odds), mean, normalised (mean of masks scaled
            to [0, 1]) or geometric. A joint search learns the log_odds stack itself; for the others it learns the mean.
        keep: After the search the stack is scaled to [0, 1] and opened, without changing the order of its pixels, until
            it keeps this share of the score; 0 leaves it as the search found it.
        tolerance: Least decrease of the loss that counts as an improvement.
        patience: Number of steps without improvement after which a search stops; 0 never stops early.
        seed: Seed of the random numbers of the search (the noise fill), and of those that the network draws itself.
        batch_size: Maximum number of masked images in one forward pass.
        speed: How the network is run: auto (the fastest way that starts at once and changes the output only by
            rounding), plain (the network as it is), half (half precision; the map may change), compiled (torch.compile,
            on CUDA with CUDA graphs; takes about a minute to start) or half_compiled.
    """

    sizes: tuple[GridSize, ...] = ((3, 3), (7, 7), (14, 14), (28, 28), (56, 56), (112, 112))
    joint: bool = True
    members: int = 4
    steps: int = 25
    shift: float = 0.07
    learning_rate: float = 0.8
    slow_fine: float = 0.5
    damping: float = 0.5
    mask_weight: float = 3.0
    removal: float = 2.0
    removal_every: int = 2
    smoothness: float = 0.1
    grid_blur: float = 0.011
    fill: tuple[Fill, ...] = ("zero", "blur", "mean", "noise")
    blur: float = 0.045
    consistency: Consistency = "one_sided"
    parametrisation: Parametrisation = "sigmoid"
    start: float = 0.5
    stack: Stack = "log_odds"
    keep: float = 1.0
    tolerance: float = 1e-3
    patience: int = 0
    seed: int = 0
    batch_size: int = 32
    speed: Speed = "auto"

    def __post_init__(self) -> None:
        sizes = checks.several("sizes", self.sizes, int)
        object.__setattr__(self, "sizes", tuple(as_grid_size(size) for size in sizes))
        object.__setattr__(self, "fill", checks.several("fill", self.fill, str))
        for name in self.fill:
            checks.one_of("fill", name, FILLS)
        checks.one_of("consistency", self.consistency, CONSISTENCIES)
        checks.one_of("parametrisation", self.parametrisation, get_args(Parametrisation))
        checks.one_of("stack", self.stack, STACKS)
        checks.one_of("speed", self.speed, get_args(Speed))
        checks.flag("joint", self.joint)
        checks.whole("steps", self.steps, least=1, most=100_000)
        checks.whole("members", self.members, least=1, most=1000)
        checks.real("shift", self.shift, 0, 0.5)
        checks.real("slow_fine", self.slow_fine, 0, 10)
        checks.real("damping", self.damping, 0, 1000)
        checks.whole("patience", self.patience, least=0, most=100_000)
        checks.whole("removal_every", self.removal_every, least=0, most=1000)
        if self.removal_every == 1:
            raise InputError(
                "removal_every must not be 1, or no step would keep the score; set 2 or more, or 0 to disable it"
            )
        checks.whole("seed", self.seed, least=0, most=2**63 - 1)
        checks.whole("batch_size", self.batch_size, least=1, most=65_536)
        checks.real("learning_rate", self.learning_rate, 0, 10, open_low=True)
        for field in ("mask_weight", "removal", "smoothness"):
            checks.real(field, getattr(self, field), 0, 1000)
        checks.real("blur", self.blur, 0, 1)
        checks.real("grid_blur", self.grid_blur, 0, 0.5)
        checks.real("keep", self.keep, 0, 1)
        checks.share("start", self.start)
        checks.real("tolerance", self.tolerance, 0, 1)
        if self.stack == "log_odds" and self.parametrisation == "clip":
            raise InputError("stack='log_odds' needs parametrisation='sigmoid'; with 'clip' choose stack='mean'")

    def with_(self, **changes: Any) -> SearchSettings:
        """A copy with some fields changed.

        Raises:
            InputError: A name is not a setting, or a value is out of its range.

        >>> SearchSettings().with_(steps=10).steps
        10
        """
        names = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            if name not in names:
                hint = checks.did_you_mean(name, names) or f" the settings are {', '.join(names)}"
                raise InputError(f"there is no setting named {name};{hint}")
        return dataclasses.replace(self, **changes)

    def running(self) -> RunningOptions:
        """The settings that say how the network is run, as options of :func:`maskstack.scoring.scoring`."""
        return {
            "batch_size": self.batch_size,
            "speed": self.speed,
            "seed": self.seed,
        }

    @property
    def mask_count(self) -> int:
        """Number of masks of an image that are learned side by side."""
        return self.members * (1 if self.joint else len(self.sizes))

    def passes(self) -> tuple[int, int]:
        """Maximum numbers of forward and backward passes of a search for one image."""
        steps = self.mask_count * self.steps
        # The image, each fill alone, under each size's mask, under the stack and under the map as it is opened.
        return steps + 2 + len(self.fill) + len(self.sizes) + self.opening_passes, steps

    @property
    def opening_passes(self) -> int:
        """Maximum number of forward passes with which a map is opened."""
        return len(OPENINGS) if self.keep else 0

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON can hold them: tuples become lists."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SearchSettings:
        """The settings from :meth:`as_dict`."""
        return cls().with_(**values)


def setting_help() -> dict[str, str]:
    """What each setting does, by its name: the text of the class's documentation.

    >>> setting_help()["steps"]
    'Maximum number of steps of each member.'
    """
    text = inspect.getdoc(SearchSettings) or ""
    entries = re.findall(r"^    (\w+): (.+(?:\n        .+)*)", text, flags=re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in entries}
