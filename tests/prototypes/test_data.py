"""Splits: which image is in which split, and that wrong splits are reported before anything is computed."""

import csv
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from maskstack.errors import InputError
from maskstack.prototypes.config import DataConfig
from maskstack.prototypes.data import read_splits
from maskstack.prototypes.splits import Example, carve, summary

LABELS = ("furry", "brown")


def table(root: Path, change) -> None:
    """Rewrite the table; ``change`` gets its rows as dictionaries."""
    with (root / "images.csv").open(newline="") as file:
        rows = change(list(csv.DictReader(file)))
    with (root / "images.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_folders_are_read_and_validation_is_carved_of_each_class(folders) -> None:
    splits = read_splits(DataConfig(path=str(folders), validation_share=0.3), seed=0)
    assert splits.class_names == ("cat", "coffee", "person")
    assert not splits.multi_label
    there = ("train", "validation", "test")
    count = {name: Counter(example.label for example in getattr(splits, name)) for name in there}
    assert [set(each.values()) for each in count.values()] == [{4}, {2}, {4}]
    names = [example.name for name in count for example in getattr(splits, name)]
    assert len(set(names)) == len(names) == 30
    for example in splits.train:
        assert example.name.split("/")[:2] == ["train", splits.class_names[example.label.index(1)]]
    assert summary(splits) == "3 classes: 12 images to train on, 6 to validate on, 12 to test on"


def test_the_seed_alone_decides_what_is_carved(folders) -> None:
    config = DataConfig(path=str(folders), validation_share=0.3)
    assert read_splits(config, seed=4) == read_splits(config, seed=4)
    assert len({read_splits(config, seed=seed).validation for seed in range(5)}) > 1


def test_a_split_for_validation_is_taken_as_it_is(own_folders) -> None:
    (own_folders / "train").rename(own_folders / "spare")
    (own_folders / "test").rename(own_folders / "val")
    (own_folders / "spare").rename(own_folders / "train")
    shutil.copytree(own_folders / "train" / "cat", own_folders / "test" / "cat")
    with pytest.raises(InputError, match="the splits train and test overlap"):
        read_splits(DataConfig(path=str(own_folders), validation="val"), seed=0)
    shutil.rmtree(own_folders / "test")
    with pytest.raises(InputError, match="no folder test for the split"):
        read_splits(DataConfig(path=str(own_folders), validation="val"), seed=0)


def test_some_classes_can_be_chosen_in_any_order(folders) -> None:
    splits = read_splits(DataConfig(path=str(folders), classes=("person", "cat")), seed=0)
    assert splits.class_names == ("person", "cat")
    assert {example.name.split("/")[1]: example.label for example in splits.test} == {"person": (1, 0), "cat": (0, 1)}


def test_labels_are_read_from_their_columns_and_patients_stay_whole(labelled) -> None:
    splits = read_splits(DataConfig(path=str(labelled), labels=LABELS, group="patient"), seed=1)
    assert splits.multi_label
    assert splits.class_names == LABELS
    rows = {row["file"]: row for row in csv.DictReader((labelled / "images.csv").read_text().splitlines())}
    patients = {}
    for name in ("train", "validation", "test"):
        for example in getattr(splits, name):
            row = rows[example.name]
            assert example.label == (float(row["furry"]), float(row["brown"]))
            assert example.path.is_file()
            assert patients.setdefault(row["patient"], name) == name
    assert {example.label for example in splits.train} >= {(1, 0), (0, 1), (0, 0)}


@pytest.mark.parametrize("same", [{"validation": "test"}, {"validation": "train"}, {"test": "train"}])
def test_one_split_cannot_be_used_twice(folders, same) -> None:
    with pytest.raises(InputError, match=r"overlap|twice|same|each"):
        read_splits(DataConfig(path=str(folders), **same), seed=0)


@pytest.mark.parametrize("by_class", [True, False])
def test_carving_keeps_groups_whole_and_does_not_depend_on_the_order(by_class) -> None:
    examples = [Example(f"{n:02}", Path("x"), ((1.0, 0.0), (0.0, 1.0))[n % 2], f"g{n // 3}") for n in range(30)]
    left, carved = carve(examples, share=0.2, seed=3, by_class=by_class)
    assert sorted(example.name for example in left + carved) == [example.name for example in examples]
    assert not {example.group for example in left} & {example.group for example in carved}
    assert 3 <= len(carved) <= 12
    assert carve(examples[::-1], share=0.2, seed=3, by_class=by_class) == (left, carved)


def _one_image(root: Path) -> None:
    for number in range(1, 6):
        (root / "train" / "cat" / f"{number}.png").unlink()


def _no_test_image(root: Path) -> None:
    shutil.rmtree(root / "test" / "coffee")


def _same_content(root: Path) -> None:
    shutil.copy(root / "train" / "cat" / "3.png", root / "test" / "cat" / "copy.png")


def _same_file(root: Path) -> None:
    (root / "test" / "cat" / "link.png").symlink_to(root / "train" / "cat" / "3.png")


def _one_class(root: Path) -> None:
    for split in ("train", "test"):
        for name in ("coffee", "person"):
            shutil.rmtree(root / split / name)


FOLDERS = {
    "a class with one image": (_one_image, {}, "cat has 1 image in the split train; it needs at least one for"),
    "a class without a test image": (_no_test_image, {}, "coffee has 0 images in the split test"),
    "a missing split": (lambda root: shutil.rmtree(root / "test"), {}, "has no folder test for the split"),
    "the same content": (_same_content, {}, "train/cat/3.png and test/cat/copy.png share the content"),
    "the same file": (_same_file, {}, "share the file"),
    "an unknown class": (None, {"classes": ("cat", "persn")}, "no class 'persn'; did you mean person"),
    "one class": (_one_class, {}, "has 1 class; it needs two or more"),
    "a path that is missing": (shutil.rmtree, {}, "does not exist; check the path"),
    "labels without a table": (None, {"labels": LABELS}, "does not exist; add it, because labels"),
    "groups without a table": (None, {"group": "patient"}, "does not exist; add it, because labels"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_that_are_wrong_are_said(name, own_folders) -> None:
    change, settings, says = FOLDERS[name]
    if change is not None:
        change(own_folders)
    with pytest.raises(InputError) as caught:
        read_splits(DataConfig(path=str(own_folders), **settings), seed=0)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def _set(column, value, *, where=lambda row: True):
    return lambda rows: [{**row, column: value} if where(row) else row for row in rows]


GIVEN = {"labels": LABELS, "group": "patient"}
TABLES = {
    "a label that is no column": (None, {"labels": ("furry", "browm")}, "no column 'browm'; did you mean brown"),
    "a group that is no column": (None, {"labels": LABELS, "group": "patients"}, "no column 'patients'; did you mean"),
    "a label of 2": (_set("brown", "2", where=lambda row: row["file"] == "03.png"), {}, "line 5: brown is '2'"),
    "an empty label": (_set("brown", ""), {}, "brown is ''; it must be 0 or 1"),
    "no such split": (None, {**GIVEN, "test": "testing"}, "no images of the split 'testing'; it has test, train"),
    "a patient in two splits": (_set("patient", "p3", where=lambda row: row["file"] == "25.png"), {}, "share the gr"),
    "a label of none": (_set("brown", "0", where=lambda row: row["split"] == "test"), {}, "brown has 0 images in the"),
    "a label of all": (_set("brown", "1", where=lambda row: row["split"] == "test"), {}, "brown"),
    "a file that is missing": (
        lambda rows: [*rows, {**rows[0], "file": "99.png"}], {}, "names 1 file that does not exist: ",
    ),
    "a file twice": (lambda rows: [*rows, {**rows[0], "split": "test"}], {"labels": LABELS}, "overlap"),
    "a row for each label": (lambda rows: [*rows, {**rows[0], "brown": "1"}], {}, "has 2 rows of 00.png"),
    "no column file": (lambda rows: [{"picture": row["file"]} for row in rows], {}, "no column file"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables_that_are_wrong_are_said(name, own_labelled) -> None:
    change, settings, says = TABLES[name]
    if change is not None:
        table(own_labelled, change)
    with pytest.raises(InputError) as caught:
        read_splits(DataConfig(path=str(own_labelled), **(settings or GIVEN)), seed=0)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_data_at_all_is_said() -> None:
    with pytest.raises(InputError, match="no data are given; give --data"):
        read_splits(DataConfig(), seed=0)


REAL = Path(os.environ.get("MASKSTACK_DATA", ""))


@pytest.mark.skipif("MASKSTACK_DATA" not in os.environ, reason="MASKSTACK_DATA is not set, so there are no real data")
def test_real_birds_and_radiographs_have_splits_that_are_apart() -> None:
    birds = read_splits(DataConfig(path=str(REAL / "birds"), classes=("Blue_Jay", "Mallard")), seed=0)
    assert birds.class_names == ("Blue_Jay", "Mallard")
    assert min(len(birds.train), len(birds.validation), len(birds.test)) > 3
    labels = ("Pneumonia", "Effusion")
    chest = read_splits(DataConfig(path=str(REAL / "chest"), labels=labels, group="patient", validation="val"), seed=0)
    groups = [{example.group for example in getattr(chest, name)} for name in ("train", "validation", "test")]
    assert all(groups)
    assert not groups[0] & groups[1]
    assert not (groups[0] | groups[1]) & groups[2]
