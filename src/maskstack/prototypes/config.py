"""What a training is: which network, on which data, in which stages. Read from TOML, checked when made."""

from __future__ import annotations

import dataclasses
import json
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskstack.errors import InputError
from maskstack.masks.settings import one_of
from maskstack.prototypes.from_table import made
from maskstack.errors import reason

KINDS = ("protopnet", "xprotonet")
STAGES = ("warm", "joint", "push", "prune", "last")
AT_ONCE = ("push", "prune")
"""Stages without epochs."""

WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "protopnet": {"cluster": 0.8, "separation": 0.08, "l1": 1e-4},
    "xprotonet": {"cluster": 0.5, "separation": 0.5, "occurrence": 0.5, "affine": 0.5, "gamma": 2.0},
}
"""Weights of the losses as the papers have them; gamma is the focal loss's exponent."""


def _whole(name: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**31:
        raise InputError(f"{name} is {value!r}; it must be a whole number from {least} on")


def _number(name: str, value: Any) -> None:
    # TOML's whole numbers know no end, floats do.
    if isinstance(value, bool) or not isinstance(value, int | float) or not (0 <= value <= sys.float_info.max):
        raise InputError(f"{name} is {value!r:.60}; it must be a number from 0 on")


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Which network.

    Attributes:
        kind: ``protopnet`` or ``xprotonet``.
        backbone: A model's spec, see ``maskstack models``.
        layer: Name of the backbone's layer whose output is taken for features.
        cut: Name of the layer up to which the backbone is frozen and its features cached; empty for ``layer`` itself.
        per_class: Prototypes of each class.
        dimension: Of the space they lie in.
        occurrence: XProtoNet's maps are held positive by ``sigmoid`` or ``abs``.
        pooling: XProtoNet's features are pooled by ``sum`` or ``mean``.
        similarity: XProtoNet's is the ``cosine``, or it ``shifted`` to [0, 1].
    """

    kind: str
    backbone: str = "bundled,crop=squash"
    layer: str = "_blocks.15"
    cut: str = ""
    per_class: int = 5
    dimension: int = 64
    occurrence: str = "sigmoid"
    pooling: str = "sum"
    similarity: str = "cosine"

    def __post_init__(self) -> None:
        one_of("kind", self.kind, KINDS)
        one_of("occurrence", self.occurrence, ("sigmoid", "abs"))
        one_of("pooling", self.pooling, ("sum", "mean"))
        one_of("similarity", self.similarity, ("cosine", "shifted"))
        _whole("per_class", self.per_class, least=1)
        _whole("dimension", self.dimension, least=1)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """On which images.

    Attributes:
        path: Folder of annotated images; relative to the file of the configuration.
        classes: Names of those to tell apart; empty for all.
        labels: Columns of 0 and 1 in ``images.csv``, for images that can be of several classes.
        train: Split that is trained on.
        validation: Split that stages are judged on; empty to carve it from ``train``.
        validation_share: What part is carved.
        test: Split for the final numbers; nothing is ever chosen on it.
        group: Column whose values no two splits may share, such as the patient.
    """

    path: str = ""
    classes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    train: str = "train"
    validation: str = ""
    validation_share: float = 0.15
    test: str = "test"
    group: str = ""

    def __post_init__(self) -> None:
        _number("validation_share", self.validation_share)
        if not 0 < self.validation_share < 1:
            raise InputError(f"validation_share is {self.validation_share}; it must be between 0 and 1")
        if self.classes and self.labels:
            raise InputError("classes and labels are both given; classes exclude each other, labels do not: give one")
        for name in ("classes", "labels"):
            values = getattr(self, name)
            if len(set(values)) < len(values) or len(values) == 1:
                raise InputError(f"{name} are {', '.join(values)}; give two or more, each once")
        splits = [self.train, self.validation or None, self.test]
        if "" in splits or len(set(splits)) < len(splits):
            raise InputError(
                f"train is {self.train!r}, validation {self.validation!r} and test {self.test!r}; name each split "
                "once, and leave only validation empty"
            )


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """One stage of the training.

    Attributes:
        name: ``warm`` (all but the backbone and the last layer), ``joint`` (the backbone's tail too), ``push``,
            ``prune`` or ``last`` (the last layer alone).
        epochs: Passes over all views of all images; a push and a prune have none.
        learning_rate: Of Adam, for all but the backbone.
        backbone_rate: For the backbone's tail in a joint stage; 0 leaves it frozen.
        weight_decay: On add-on layers and backbone.
        schedule: ``cosine`` to 0 over the stage, or ``constant``.
    """

    name: str
    epochs: int = 0
    learning_rate: float = 3e-3
    backbone_rate: float = 0.0
    weight_decay: float = 0.0
    schedule: str = "cosine"

    def __post_init__(self) -> None:
        one_of("name", self.name, STAGES)
        one_of("schedule", self.schedule, ("cosine", "constant"))
        _whole("epochs", self.epochs, least=0)
        if (self.name in AT_ONCE) != (self.epochs == 0):
            raise InputError(
                f"a stage {self.name} has {self.epochs} epochs; push and prune have none, others 1 or more"
            )
        for name in ("learning_rate", "backbone_rate", "weight_decay"):
            _number(name, getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How.

    Attributes:
        seed: Of everything random.
        views: Augmented views of each training image, beside the image as it is.
        batch_size: Images in a step.
        stages: One after the other.
        weights: Of the losses, see :data:`WEIGHTS`; those not given are the papers'.
        keep_sources: Whether the checkpoint holds pictures of the training images that prototypes come from.
    """

    seed: int = 0
    views: int = 6
    batch_size: int = 64
    stages: tuple[StageConfig, ...] = (
        StageConfig(name="warm", epochs=20),
        StageConfig(name="push"),
        StageConfig(name="last", epochs=10, learning_rate=1e-3),
    )
    weights: Mapping[str, float] = field(default_factory=dict)
    keep_sources: bool = True

    def __post_init__(self) -> None:
        _whole("seed", self.seed, least=0)
        _whole("views", self.views, least=0)
        _whole("batch_size", self.batch_size, least=1)
        for name, value in self.weights.items():
            _number(f"weights.{name}", value)
        names = [stage.name for stage in self.stages]
        if "push" not in names:
            raise InputError("no stage is a push, so that prototypes could not be shown; add one")
        if {"warm", "joint"} & set(names[len(names) - names[::-1].index("push") :]):
            raise InputError("prototypes change again after the last push; end with push and last")
        if "prune" in names[: names.index("push")]:
            raise InputError("the stage prune comes before any push; put it after push, or leave it out")


@dataclass(frozen=True, kw_only=True)
class Config:
    """A whole training."""

    network: NetworkConfig
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        known = WEIGHTS[self.network.kind]
        for name in self.training.weights:
            one_of("a name in training.weights", name, tuple(known))
        if self.network.kind == "xprotonet" and any(stage.name == "prune" for stage in self.training.stages):
            raise InputError("the stage prune is ProtoPNet's; leave it out for xprotonet")
        weights = dict(known) | {name: float(value) for name, value in self.training.weights.items()}
        object.__setattr__(self, "training", dataclasses.replace(self.training, weights=weights))

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """From :meth:`as_dict`, or from a TOML file's content.

        Raises:
            InputError: A table or key is unknown, or a value cannot be.
        """
        return made(cls, values, "")


def read_config(path: str | Path) -> Config:
    """Read a configuration; the data's path is made relative to the working folder.

    Raises:
        InputError: The file is missing or no TOML, a table or key is unknown, or a value cannot be.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"there is no configuration {path}; check the path") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as TOML ({reason(error)}); correct it") from error
    try:
        config = Config.from_dict(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if not config.data.path:
        return config
    data = dataclasses.replace(config.data, path=str(path.parent / config.data.path))
    return dataclasses.replace(config, data=data)
