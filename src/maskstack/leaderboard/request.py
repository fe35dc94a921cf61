"""What a run was asked for, checked before anything is loaded."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskstack.errors import InputError
from maskstack.explainers.table import parse_method
from maskstack.files import write_whole
from maskstack.leaderboard.case import TARGETS
from maskstack.leaderboard.measures import GROUPS
from maskstack.masks.settings import one_of
from maskstack.models import named_spec

FILE = "run.json"
FORMAT = "maskstack-run-1"
WHICH = ("all", "right")
"""Which images: all, or those that the network takes for what they are labelled."""
HALVES = ("all", "tuning", "reporting")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to measure: every method on every image of every network.

    Attributes:
        models: Specs of networks, each with a name of its own before it if wanted: ``small=timm:resnet18,pretrained``.
        data: Folder or file of annotated images.
        methods: Methods with their options: ``mdm``, ``rise:masks=1000``.
        groups: Groups of metrics.
        images: How many images of the data; None is all.
        seed: Of the choice of images. Fewer images of the same seed are a part of more.
        half: ``tuning`` (even positions of the sorted names), ``reporting`` (odd ones) or ``all``.
        which: ``all`` or ``right``.
        target: The class to explain: ``label`` or ``predicted``.
        split: Split of the data, where it has any.
        curve_steps: Equal shares of the pixels on insertion and deletion curves.
        keep_maps: Whether to keep the maps, as float16.
        device: Where to work: ``auto``, ``cpu``, ``cuda`` ...
        batch_size: Images in one pass at most.

    Raises:
        InputError: A name or number cannot be used.
    """

    models: tuple[str, ...]
    data: str
    methods: tuple[str, ...]
    groups: tuple[str, ...]
    images: int | None = None
    seed: int = 0
    half: str = "all"
    which: str = "all"
    target: str = "label"
    split: str | None = None
    curve_steps: int = 20
    keep_maps: bool = False
    device: str = "cpu"
    batch_size: int = 32

    def __post_init__(self) -> None:
        for what, given in (("model", self.models), ("method", self.methods), ("group of metrics", self.groups)):
            if not given:
                raise InputError(f"there is no {what} to work on; name at least one")
            if len(set(given)) < len(given):
                raise InputError(f"a {what} is named twice in {', '.join(given)}; name each once")
        names = list(self.specs)
        if len(names) < len(self.models):
            raise InputError(f"two models have the same name in {', '.join(self.models)}; give each its own")
        for method in self.methods:
            parse_method(method)
        for group in self.groups:
            one_of("group of metrics", group, tuple(GROUPS))
        one_of("half", self.half, HALVES)
        one_of("which", self.which, WHICH)
        one_of("target", self.target, TARGETS)
        for name, low in (("images", 1), ("seed", 0), ("batch_size", 1), ("curve_steps", 2)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < low):
                raise InputError(f"{name} is {value!r}; it must be a whole number from {low}")

    @property
    def specs(self) -> dict[str, str]:
        """The networks' specs by their names; the name of one without a name is its spec."""
        return dict(named_spec(model) for model in self.models)


_MUST_AGREE = ("data", "seed", "half", "which", "target", "split", "curve_steps")


def settle(run: Path, request: Request, *, versions: Mapping[str, str]) -> None:
    """Write down what a run is about, or check that what is there is about the same.

    Models, methods, metrics and the number of images may grow from one call to the next; what would make the numbers
    incomparable may not change.

    Raises:
        InputError: The folder holds a run about something else, or no run at all but other files.
    """
    path = run / FILE
    if path.is_file():
        before = read(run)
        for name in _MUST_AGREE:
            if before[name] != getattr(request, name):
                raise InputError(
                    f"{run} holds a run with {name}={before[name]!r}, not {getattr(request, name)!r}; "
                    "choose another --out"
                )
        specs = {**before["specs"], **request.specs}
        for name, spec in before["specs"].items():
            if specs[name] != spec:
                raise InputError(f"{run} knows the model {name} as {spec}, not {specs[name]}; give it another name")
    elif run.is_dir() and any(path for path in run.iterdir() if not path.name.startswith(".")):
        raise InputError(f"{run} holds other files and no run; choose another --out")
    else:
        specs = request.specs
    document: dict[str, Any] = {"format": FORMAT, **dataclasses.asdict(request), "specs": specs, "versions": versions}
    write_whole(path, lambda file: file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8"))


def read(run: Path) -> dict[str, Any]:
    """What a run is about.

    Raises:
        InputError: There is no run, or its description is damaged.
    """
    path = run / FILE
    if not path.is_file():
        raise InputError(f"{run} holds no run; it is what 'maskstack bench --out' was given")
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"{path} is damaged ({error}); start the run in another folder") from error
    if document.get("format") != FORMAT:
        raise InputError(f"{path} is not of this version's format {FORMAT}")
    return document
