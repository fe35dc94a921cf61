"""The images of a training: who is in which split, and whether the splits are apart."""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskstack.datasets import AnnotatedImages, load_images
from maskstack.datasets.places import folder_of, relative
from maskstack.datasets.tables import Row, read_table
from maskstack.errors import InputError
from maskstack.models.spec import did_you_mean
from maskstack.prototypes.config import DataConfig

TABLE = "images.csv"
KEYS = ("train", "validation", "test")


@dataclass(frozen=True)
class Example:
    """A picture to learn from or to judge on.

    Attributes:
        name: Identifies it within the data.
        path: Its file.
        label: 1 for what it is, else 0: K.
        group: What no two splits may share, such as its patient; empty if nothing is known.
    """

    name: str
    path: Path
    label: tuple[float, ...]
    group: str = ""


@dataclass(frozen=True)
class Splits:
    """Three lists of examples that share no picture and no group.

    Attributes:
        train: To learn from.
        validation: To choose on.
        test: For the final numbers.
        class_names: In the order of the labels.
        multi_label: Whether an image can be of several classes, or of none.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    class_names: tuple[str, ...]
    multi_label: bool


def read_splits(config: DataConfig, *, seed: int) -> Splits:
    """Read the data's lists, carve what is to be carved, and check that the splits are apart.

    Args:
        config: Which data.
        seed: Of what is carved for validation.

    Raises:
        InputError: Data, a split, a class or a column is missing, a class has too few images, or splits overlap.
    """
    if not config.path:
        raise InputError("no data are named; give --data, or path in [data]")
    root = Path(config.path)
    names, lists = _read_labels(root, config) if config.labels else _read_classes(root, config)
    multi_label = bool(config.labels)
    if not config.validation:
        _check_enough(lists["train"], names, config.train, least=2)
        lists["train"], lists["validation"] = carve(
            lists["train"], share=config.validation_share, seed=seed, by_class=not multi_label
        )
    said = {key: getattr(config, key) or f"carved validation (of {config.train})" for key in KEYS}
    _check_apart({said[key]: lists[key] for key in KEYS})
    for key in KEYS:
        # AUROC has no value for a label of which a split has none or only such, and nothing is learned of it.
        _check_enough(lists[key], names, said[key], least=1)
        if multi_label:
            _check_without(lists[key], names, said[key])
    return Splits(lists["train"], lists["validation"], lists["test"], names, multi_label)


def carve(
    examples: Sequence[Example], *, share: float, seed: int, by_class: bool
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Part a list in two; the order in which it was given does not matter, and groups stay whole.

    Args:
        examples: To part.
        share: Of the second part, at least one of each class.
        seed: Of the choice.
        by_class: Whether each class is parted by itself.

    Returns:
        What is left, and what was carved, each sorted by name.
    """
    kinds: dict[tuple[float, ...], list[Example]] = defaultdict(list)
    for example in sorted(examples, key=lambda example: example.name):
        kinds[example.label if by_class else ()].append(example)
    carved: set[str] = set()
    for kind in kinds.values():
        groups = sorted({_group(example) for example in kind})
        random.Random(f"{seed}/{groups[0]}").shuffle(groups)
        wanted = max(1, round(share * len(kind)))
        sizes = Counter(map(_group, kind))
        taken = sum(sizes[group] for group in groups if group in carved)
        for group in groups[:-1]:
            if taken >= wanted:
                break
            if group not in carved:
                carved.add(group)
                taken += sizes[group]
    ordered = sorted(examples, key=lambda example: example.name)
    return (
        tuple(example for example in ordered if _group(example) not in carved),
        tuple(example for example in ordered if _group(example) in carved),
    )


def summary(splits: Splits) -> str:
    """How many images there are.

    >>> one = Example("a", Path("a"), (1.0, 0.0))
    >>> summary(Splits((one,), (one,), (one, one), ("cat", "dog"), False))
    '2 classes: 1 image to train on, 1 to validate on, 2 to test on'
    """
    kind = "labels" if splits.multi_label else "classes"
    first = f"{len(splits.train)} image{'' if len(splits.train) == 1 else 's'} to train on"
    rest = f"{len(splits.validation)} to validate on, {len(splits.test)} to test on"
    return f"{len(splits.class_names)} {kind}: {first}, {rest}"


def _read_classes(root: Path, config: DataConfig) -> tuple[tuple[str, ...], dict[str, tuple[Example, ...]]]:
    wanted = {"train": config.train, "validation": config.validation, "test": config.test}
    found = {key: load_images(root, split=split) for key, split in wanted.items() if split}
    there = sorted({image.class_name for images in found.values() for image in images if image.class_name})
    names = config.classes or tuple(there)
    for name in names:
        if name not in there:
            raise InputError(f"{root} has no class {name!r};{did_you_mean(name, there)} It has {_few(there)}")
    if len(names) < 2:
        raise InputError(f"{root} has {len(names)} classes; there have to be two or more to tell apart")
    groups = _groups(root, config.group)
    return names, {key: _examples(images, names, groups) for key, images in found.items()}


def _examples(images: AnnotatedImages, names: Sequence[str], groups: Mapping[str, str]) -> tuple[Example, ...]:
    return tuple(
        Example(
            image.name, image.path, tuple(float(image.class_name == name) for name in names), groups.get(image.name, "")
        )
        for image in images
        if image.class_name in names and image.path is not None
    )


def _groups(root: Path, column: str) -> dict[str, str]:
    if not column:
        return {}
    table = root if root.is_file() else root / TABLE
    rows = _table(table, ["file", column])
    return {relative(row.text("file"), row.where): row.text(column) for row in rows}


def _read_labels(root: Path, config: DataConfig) -> tuple[tuple[str, ...], dict[str, tuple[Example, ...]]]:
    table = root if root.is_file() else root / TABLE
    rows = _table(table, ["file", "split", *config.labels, *filter(None, [config.group])])
    files = [relative(row.text("file"), row.where) for row in rows]
    folder = folder_of(files, [table.parent, table.parent / "images"])
    there = sorted({row.text("split") for row in rows})
    lists = {}
    for key in KEYS:
        split = getattr(config, key)
        if not split:
            continue
        lists[key] = tuple(
            Example(file, folder / file, tuple(_truth(row, label) for label in config.labels), _text(row, config.group))
            for file, row in zip(files, rows, strict=True)
            if row.text("split") == split
        )
        if not lists[key]:
            raise InputError(f"{table} has no images of the split {split!r}; it has {_few(there)}")
        lost = [example.path for example in lists[key] if not example.path.is_file()]
        if lost:
            raise InputError(f"{table} names {len(lost)} files that do not exist, first {lost[0]}; put them there")
    return config.labels, lists


def _table(table: Path, columns: Sequence[str]) -> tuple[Row, ...]:
    if not table.is_file():
        raise InputError(f"there is no table {table}; labels and groups are read from its columns")
    rows = read_table(table, columns=["file"])
    there = list(rows[0].cells)
    for column in columns:
        if column not in there:
            raise InputError(f"{table} has no column {column!r};{did_you_mean(column, there)} It has {_few(there)}")
    return rows


def _truth(row: Row, label: str) -> float:
    if row.text(label) not in ("0", "1"):
        raise InputError(f"{row.where}: {label} is {row.text(label)!r}; it must be 0 or 1")
    return float(row.text(label))


def _text(row: Row, column: str) -> str:
    return row.text(column) if column else ""


def _check_enough(examples: Sequence[Example], names: Sequence[str], split: str, *, least: int) -> None:
    for index, name in enumerate(names):
        count = sum(example.label[index] > 0.5 for example in examples)
        if count < least:
            why = "one to learn from and one to validate on" if least > 1 else "one"
            raise InputError(
                f"{name} has {count} image{'' if count == 1 else 's'} in the split {split}; it needs {why} at least: "
                "add images, or leave it out"
            )


def _check_without(examples: Sequence[Example], names: Sequence[str], split: str) -> None:
    for index, name in enumerate(names):
        if all(example.label[index] > 0.5 for example in examples):
            raise InputError(f"all images in the split {split} are {name}; add some that are not, or leave {name} out")


def _check_apart(splits: Mapping[str, Sequence[Example]]) -> None:
    for what, known in (
        ("the group", lambda example: example.group),
        ("the file", lambda example: str(example.path.resolve())),
        ("the content of", lambda example: hashlib.sha256(example.path.read_bytes()).hexdigest()),
    ):
        seen: dict[str, tuple[str, str]] = {}
        shared: list[tuple[str, str, str, str]] = []
        for split, examples in splits.items():
            for example in examples:
                key = known(example)
                before = seen.setdefault(key, (split, example.name)) if key else (split, example.name)
                if before[0] != split:
                    shared.append((before[1], before[0], example.name, split))
        if shared:
            one, first, other, second = shared[0]
            raise InputError(
                f"the splits {first} and {second} overlap: {one} and {other} share {what.removesuffix(' of')}, and "
                f"{len(shared)} images in all do so; take them out of one of the splits"
            )


def _group(example: Example) -> str:
    return example.group or example.name


def _few(names: Iterable[str]) -> str:
    listed = [name or "(empty)" for name in names]
    return ", ".join(listed[:12]) + (f" and {len(listed) - 12} more" if len(listed) > 12 else "")
