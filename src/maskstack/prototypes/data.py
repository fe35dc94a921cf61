"""The images of a training, read from folders and tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from maskstack.checks import did_you_mean
from maskstack.datasets import AnnotatedImages, load_images
from maskstack.datasets.files import folder_of, relative
from maskstack.datasets.tables import TableRow, read_table
from maskstack.errors import InputError
from maskstack.prototypes.config import DataConfig
from maskstack.prototypes.splits import Example, Splits, carve, check_apart, check_enough, check_without

TABLE = "images.csv"
KEYS = ("train", "validation", "test")


def read_splits(config: DataConfig, *, seed: int) -> Splits:
    """Read the splits, take a part of the training split for validation if none is given, and check for overlaps.

    Args:
        config: The data.
        seed: Seed of the choice of images for validation.

    Raises:
        InputError: Data, a split, a class or a column is missing, a class has too few images, or splits overlap.
    """
    if not config.path:
        raise InputError("no data are given; give --data, or path in [data]")
    root = Path(config.path)
    names, lists = _read_labels(root, config) if config.labels else _read_classes(root, config)
    multi_label = bool(config.labels)
    if not config.validation:
        check_enough(lists["train"], names, config.train, least=2)
        lists["train"], lists["validation"] = carve(
            lists["train"], share=config.validation_share, seed=seed, by_class=not multi_label
        )
    split_names = {key: getattr(config, key) or f"validation (a part of {config.train})" for key in KEYS}
    check_apart({split_names[key]: lists[key] for key in KEYS})
    for key in KEYS:
        # AUROC is not defined for a label that no image or every image of a split has.
        check_enough(lists[key], names, split_names[key], least=1)
        if multi_label:
            check_without(lists[key], names, split_names[key])
    return Splits(lists["train"], lists["validation"], lists["test"], names, multi_label)


def _read_classes(root: Path, config: DataConfig) -> tuple[tuple[str, ...], dict[str, tuple[Example, ...]]]:
    found = {key: load_images(root, split=split) for key in KEYS if (split := getattr(config, key))}
    there = sorted({image.class_name for images in found.values() for image in images if image.class_name})
    names = config.classes or tuple(there)
    for name in names:
        if name not in there:
            raise InputError(f"{root} has no class {name!r};{did_you_mean(name, there) or f' it has {_few(there)}'}")
    if len(names) < 2:
        raise InputError(f"{root} has {len(names) or 'no'} class{'' if names else 'es'}; it needs two or more")
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
        if not (split := getattr(config, key)):
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
            count = "1 file that does not exist" if len(lost) == 1 else f"{len(lost)} files that do not exist, first"
            raise InputError(f"{table} names {count}: {lost[0]}; add {'it' if len(lost) == 1 else 'them'}")
        file, times = Counter(example.name for example in lists[key]).most_common(1)[0]
        if times > 1:
            raise InputError(f"{table} has {times} rows of {file}; give each image one row, with all its labels")
    return config.labels, lists


def _table(table: Path, columns: Sequence[str]) -> tuple[TableRow, ...]:
    if not table.is_file():
        raise InputError(f"{table} does not exist; add it, because labels and groups are read from it")
    rows = read_table(table, columns=["file"])
    there = list(rows[0].cells)
    for column in columns:
        if column not in there:
            hint = did_you_mean(column, there) or f" it has {_few(there)}"
            raise InputError(f"{table} has no column {column!r};{hint}")
    return rows


def _truth(row: TableRow, label: str) -> float:
    if row.text(label) not in ("0", "1"):
        raise InputError(f"{row.where}: {label} is {row.text(label)!r}; it must be 0 or 1")
    return float(row.text(label))


def _text(row: TableRow, column: str) -> str:
    return row.text(column) if column else ""


def _few(names: Iterable[str]) -> str:
    listed = [name or "(empty)" for name in names]
    return ", ".join(listed[:12]) + (f" and {len(listed) - 12} more" if len(listed) > 12 else "")
