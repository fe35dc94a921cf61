"""The configuration of a training: network, data and stages. Read from TOML, and checked when it is made."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskstack import checks
from maskstack.errors import InputError, reason
from maskstack.models import check_spec_from_file
from maskstack.prototypes.from_table import made

KINDS = ("protopnet", "xprotonet")
STAGES = ("warm", "joint", "push", "prune", "last")
AT_ONCE = ("push", "prune")
"""Stages without epochs."""

WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "protopnet": {"cluster": 0.8, "separation": 0.08, "l1": 1e-4},
    "xprotonet": {"cluster": 0.5, "separation": 0.5, "occurrence": 0.5, "affine": 0.5, "gamma": 2.0},
}
"""Weights of the losses, as in the papers; gamma is the exponent of the focal loss."""

MOST, LARGEST = 2**31 - 1, 1e300
"""The largest whole number and the largest number that an option takes."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """The network.

    Attributes:
        kind: ``protopnet`` or ``xprotonet``.
        backbone: Spec of the backbone, see ``maskstack models``.
        layer: Name of the backbone's layer whose output is used as features.
        cut: Name of the layer up to which the backbone is frozen and its features cached; empty for ``layer`` itself.
        per_class: Number of prototypes of each class.
        dimension: Dimension of a prototype.
        occurrence: Function that makes XProtoNet's maps positive: ``sigmoid`` or ``abs``.
        pooling: How XProtoNet pools features: ``sum`` or ``mean``.
        similarity: XProtoNet's similarity: ``cosine``, or the cosine ``shifted`` to [0, 1].
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
        checks.one_of("kind", self.kind, KINDS)
        checks.one_of("occurrence", self.occurrence, ("sigmoid", "abs"))
        checks.one_of("pooling", self.pooling, ("sum", "mean"))
        checks.one_of("similarity", self.similarity, ("cosine", "shifted"))
        checks.whole("per_class", self.per_class, least=1, most=MOST)
        checks.whole("dimension", self.dimension, least=1, most=MOST)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The images.

    Attributes:
        path: Folder of annotated images, relative to the configuration file.
        classes: Names of the classes; empty for all classes of the data.
        labels: Columns of 0 and 1 in ``images.csv``, for images that can have several classes.
        train: Split for training.
        validation: Split on which epochs are compared; empty to take a part of ``train``.
        validation_share: Share of ``train`` that is taken for validation.
        test: Split for the final numbers; it is not used to choose anything.
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
        checks.share("validation_share", self.validation_share)
        if self.classes and self.labels:
            raise InputError(
                "classes and labels are both given; give classes if each image has one class, otherwise labels"
            )
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
        name: ``warm`` (trains all but the backbone and the last layer), ``joint`` (the backbone's tail too), ``push``,
            ``prune`` or ``last`` (trains only the last layer).
        epochs: Passes over all views of all images; 0 for push and prune.
        learning_rate: Adam's learning rate for all but the backbone.
        backbone_rate: Learning rate of the backbone's tail in a joint stage; 0 leaves it frozen.
        weight_decay: Weight decay of the add-on layers and the backbone.
        schedule: Schedule of the learning rates: ``cosine`` to 0 over the stage, or ``constant``.
    """

    name: str
    epochs: int = 0
    learning_rate: float = 3e-3
    backbone_rate: float = 0.0
    weight_decay: float = 0.0
    schedule: str = "cosine"

    def __post_init__(self) -> None:
        checks.one_of("name", self.name, STAGES)
        checks.one_of("schedule", self.schedule, ("cosine", "constant"))
        checks.whole("epochs", self.epochs, least=0, most=MOST)
        if (self.name in AT_ONCE) != (self.epochs == 0):
            raise InputError(
                f"a stage {self.name} has {self.epochs} epochs; push and prune have none, others 1 or more"
            )
        for name in ("learning_rate", "backbone_rate", "weight_decay"):
            checks.real(name, getattr(self, name), 0, LARGEST)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The training.

    Attributes:
        seed: Seed of the initialisation, the views and the order of images.
        views: Number of augmented views of each training image, in addition to the image itself.
        batch_size: Number of images in a step.
        stages: The stages, in order.
        weights: Weights of the losses; :data:`WEIGHTS` has the defaults.
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
        checks.whole("seed", self.seed, least=0, most=MOST)
        checks.whole("views", self.views, least=0, most=MOST)
        checks.whole("batch_size", self.batch_size, least=1, most=MOST)
        for name, value in self.weights.items():
            checks.real(f"weights.{name}", value, 0, LARGEST)
        names = [stage.name for stage in self.stages]
        if "push" not in names:
            raise InputError("there is no push stage, so prototypes could not be shown; add one")
        if {"warm", "joint"} & set(names[len(names) - names[::-1].index("push") :]):
            raise InputError("a stage after the last push changes the prototypes; end with push and last")
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
            checks.one_of("a name in training.weights", name, tuple(known))
        if self.network.kind == "xprotonet" and any(stage.name == "prune" for stage in self.training.stages):
            raise InputError("the stage prune is ProtoPNet's; leave it out for xprotonet")
        weights = dict(known) | {name: float(value) for name, value in self.training.weights.items()}
        object.__setattr__(self, "training", dataclasses.replace(self.training, weights=weights))

    def as_dict(self) -> dict[str, Any]:
        """The configuration as a dictionary that JSON can hold."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """The configuration from :meth:`as_dict`, or from the content of a TOML file.

        Raises:
            InputError: A table or key is unknown, or a value cannot be used.
        """
        return made(cls, values, "")


def read_config(path: str | Path, *, allow_code: bool = False) -> Config:
    """Read a configuration; the data's path is made relative to the working folder.

    Args:
        path: The file.
        allow_code: Whether the backbone may be code (``python:module:function``), which the training then runs.

    Raises:
        InputError: The file is missing or is not TOML, a table or key is unknown, a value cannot be used, or the
            backbone is code that is not allowed.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"there is no configuration {path}; check the path") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as TOML ({reason(error)}); correct it") from error
    try:
        config = Config.from_dict(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    check_spec_from_file(config.network.backbone, path, allow_code=allow_code)
    if not config.data.path:
        return config
    data = dataclasses.replace(config.data, path=str(path.parent / config.data.path))
    return dataclasses.replace(config, data=data)
