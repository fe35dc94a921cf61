"""The splits of the data, and checks that they do not overlap."""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskstack.errors import InputError


@dataclass(frozen=True)
class Example:
    """An image for training, validation or test.

    Attributes:
        name: Identifies it within the data.
        path: Its file.
        label: 1 for each class of the image, otherwise 0: K.
        group: Value that no two splits may share, such as the patient; empty if it is unknown.
    """

    name: str
    path: Path
    label: tuple[float, ...]
    group: str = ""


@dataclass(frozen=True)
class Splits:
    """Three lists of examples that share no picture and no group.

    Attributes:
        train: For training.
        validation: For choices.
        test: For the final numbers.
        class_names: In the order of the labels.
        multi_label: Whether an image can have several classes, or none.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    class_names: tuple[str, ...]
    multi_label: bool


def carve(
    examples: Sequence[Example], *, share: float, seed: int, by_class: bool
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Divide a list in two. The order of the list does not matter, and groups stay together.

    Args:
        examples: The list.
        share: Share of the second part, with at least one image of each class.
        seed: Seed of the choice.
        by_class: Whether each class is divided by itself.

    Returns:
        The first and the second part, each sorted by name.
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
    """The number of images, in words.

    >>> one = Example("a", Path("a"), (1.0, 0.0))
    >>> summary(Splits((one,), (one,), (one, one), ("cat", "dog"), False))
    '2 classes: 1 image to train on, 1 to validate on, 2 to test on'
    """
    kind = "labels" if splits.multi_label else "classes"
    first = f"{len(splits.train)} image{'' if len(splits.train) == 1 else 's'} to train on"
    rest = f"{len(splits.validation)} to validate on, {len(splits.test)} to test on"
    return f"{len(splits.class_names)} {kind}: {first}, {rest}"


def check_enough(examples: Sequence[Example], names: Sequence[str], split: str, *, least: int) -> None:
    """Check that each class has enough images in a split.

    Raises:
        InputError: One has fewer.
    """
    for index, name in enumerate(names):
        count = sum(example.label[index] > 0.5 for example in examples)
        if count < least:
            why = "one for training and one for validation" if least > 1 else "one"
            raise InputError(
                f"{name} has {count} image{'' if count == 1 else 's'} in the split {split}; it needs at least {why}; "
                "add images, or leave the class out"
            )


def check_without(examples: Sequence[Example], names: Sequence[str], split: str) -> None:
    """Check that each label is missing on some image of a split; otherwise its AUROC is not defined.

    Raises:
        InputError: A label is on every image.
    """
    for index, name in enumerate(names):
        if all(example.label[index] > 0.5 for example in examples):
            raise InputError(
                f"all images of the split {split} are {name}; add images that are not, or leave {name} out"
            )


def check_one_each(examples: Sequence[Example]) -> None:
    """Check that each image has exactly one class, because ProtoPNet's loss compares the classes with one another.

    Raises:
        InputError: Some have none or several.
    """
    wrong = [example.name for example in examples if sum(example.label) != 1]
    if wrong:
        raise InputError(
            f"ProtoPNet needs exactly one label for each image, but {len(wrong)} of {len(examples)} training images "
            f"have none or several, first {wrong[0]}; for such images set kind = 'xprotonet' in [network]"
        )


def check_apart(splits: Mapping[str, Sequence[Example]]) -> None:
    """Check that no two splits share a group, a file, or the content of a picture.

    Raises:
        InputError: Two do. The message names the first such pair and the number of pairs.
    """
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
            total = "1 image overlaps" if len(shared) == 1 else f"{len(shared)} images overlap"
            raise InputError(
                f"the splits {first} and {second} overlap: {one} and {other} share {what.removesuffix(' of')}; "
                f"{total} in total; remove {'it' if len(shared) == 1 else 'them'} from one of the splits"
            )


def _group(example: Example) -> str:
    return example.group or example.name
