"""Shards: whole, merged without doubles, damage set aside."""

import dataclasses
import json
import warnings

import duckdb
import numpy as np
import pyarrow.parquet
import pytest

from maskstack.runs import merging
from maskstack.runs import store as store_module
from maskstack.runs.digest import column_digest, json_digest
from maskstack.runs.places import Places
from maskstack.runs.rows import FAILED, ResultRow
from maskstack.runs.shards import to_table
from maskstack.runs.store import Store


def row(method="mdm", image="a.jpg", metric="gini", value=0.5, **more):
    return ResultRow("net", method, image, more.pop("group", "complexity"), metric, value, **more)


def pair(method, image):
    return [
        row(method, image, "gini", 0.25, protocol=json.dumps({"unit": "none"}), target=3, forward=7, backward=5),
        row(method, image, "insertion_wide", 0.75, group="faithfulness", curve=(0.0, 0.5, 1.0), seconds=1.5),
        row(method, image, "pointing_game", None, group="localization", failure="no box"),
    ]


def test_what_is_written_is_read(tmp_path):
    store = Store.open(tmp_path)
    store.write(pair("mdm", "a.jpg"))
    assert list(Store.open(tmp_path).rows()) == pair("mdm", "a.jpg")
    assert store.finished() == {one.key for one in pair("mdm", "a.jpg")}


def test_duckdb_reads_the_shards(tmp_path):
    store = Store.open(tmp_path)
    for image in "abc":
        store.write(pair("mdm", image))
    store.merge()
    store.write(pair("gradcam", "a"))
    found = duckdb.sql(
        f"select method, count(*), avg(value) from '{tmp_path}/rows/*.parquet' where metric = 'gini' "
        "group by method order by method"
    ).fetchall()
    assert found == [("gradcam", 1, 0.25), ("mdm", 3, 0.25)]


def test_the_same_pair_is_never_there_twice(tmp_path):
    store = Store.open(tmp_path)
    for value in (0.1, 0.2):
        store.write([row(value=value)])
    assert [one.value for one in store.rows()] == [0.2]


def test_merging_keeps_every_row_once(tmp_path):
    store = Store.open(tmp_path)
    wanted = []
    for index in range(7):
        store.write(pair("mdm", f"{index}.jpg"))
        wanted += pair("mdm", f"{index}.jpg")
        if index == 3:
            assert store.merge() is not None
    assert len(store.shards()) == 1 + 3
    store.merge()
    assert len(store.shards()) == 2
    assert sorted(store.rows(), key=repr) == sorted(wanted, key=repr)


def test_merging_happens_by_itself_when_there_are_many(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "MERGE_AT", 5)
    store = Store.open(tmp_path)
    for index in range(12):
        store.write([row(image=f"{index}.jpg")])
        store.merge_when_many()
    assert len(store.shards()) == 2 + 2
    assert len(list(store.rows())) == 12


def test_a_kill_between_merging_and_clearing_leaves_no_doubles(tmp_path, monkeypatch):
    store = Store.open(tmp_path)
    for image in "abc":
        store.write(pair("mdm", image))
    small = {path: path.read_bytes() for path in store.shards()}
    store.merge()
    for path, content in small.items():
        path.write_bytes(content)
    assert len(list(Store.open(tmp_path).rows())) == 9


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"no parquet at all", "cut", "flip", "foreign"])
def test_a_damaged_shard_is_set_aside_and_its_pair_done_again(tmp_path, damage):
    store = Store.open(tmp_path)
    broken = store.write(pair("mdm", "a.jpg"))
    store.write(pair("mdm", "b.jpg"))
    whole = broken.read_bytes()
    if damage == "cut":
        broken.write_bytes(whole[: len(whole) // 2])
    elif damage == "flip":
        broken.write_bytes(whole[:60] + bytes(255 - value for value in whole[60:400]) + whole[400:])
    elif damage == "foreign":
        duckdb.sql(f"copy (select 1 as other) to '{broken}' (format parquet)")
    else:
        broken.write_bytes(damage)
    again = Store.open(tmp_path)
    assert [path.name for path in again.damaged] == [broken.name]
    assert {image for _, _, image, _ in again.finished()} == {"b.jpg"}
    assert (tmp_path / "rows" / "damaged" / broken.name).exists()
    assert not Store.open(tmp_path).damaged


def test_leftovers_of_a_killed_writer_are_cleared(tmp_path):
    store = Store.open(tmp_path)
    store.write(pair("mdm", "a.jpg"))
    (tmp_path / "rows" / ".pair-xyz-half.parquet").write_bytes(b"half")
    assert len(list(Store.open(tmp_path).rows())) == 3
    assert not list((tmp_path / "rows").glob(".*"))


def test_only_what_failed_is_forgotten(tmp_path):
    store = Store.open(tmp_path)
    store.write(pair("mdm", "a.jpg"))
    store.write([row("rise", "a.jpg", FAILED, None, failure="method: it broke")])
    store.write([*pair("mdm", "b.jpg"), row("mdm", "b.jpg", FAILED, None, group="road", failure="metrics: so did it")])
    assert store.forget_failures() == 2
    assert {one.method for one in store.rows()} == {"mdm"}
    assert len(list(store.rows())) == 6


def test_a_merged_run_is_opened_again_unchanged_after_forgetting(tmp_path):
    store = Store.open(tmp_path)
    store.write([*pair("mdm", "a.jpg"), row("mdm", "a.jpg", FAILED, None, group="road", failure="x")])
    store.merge()
    store.forget_failures()
    assert len(list(Store.open(tmp_path).rows())) == 3


def merged_rows(store):
    return sorted(len(pyarrow.parquet.read_table(path)) for path in store.shards() if "merged" in path.name)


@pytest.mark.slow
def test_merged_shards_are_merged_again_and_none_grows_beyond_the_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(merging, "MERGE_LEVEL_AT", 4)
    monkeypatch.setattr(merging, "MOST_MERGED_ROWS", 60)
    store, wanted = Store.open(tmp_path), []
    for index in range(101):
        for method in ("mdm", "rise"):
            store.write(pair(method, f"{index}.jpg"))
            wanted += pair(method, f"{index}.jpg")
        store.merge()
    sizes = merged_rows(store)
    assert sum(sizes) == len(wanted)
    assert max(sizes) <= 60
    assert len(sizes) < 30  # 101 shards were written
    assert sorted(Store.open(tmp_path).rows(), key=repr) == sorted(wanted, key=repr)


@pytest.mark.parametrize("removed", range(5))
def test_a_kill_while_merged_shards_are_merged_loses_and_doubles_nothing(tmp_path, monkeypatch, removed):
    monkeypatch.setattr(merging, "MERGE_LEVEL_AT", 4)
    store, wanted = Store.open(tmp_path), []
    for index in range(4):
        store.write(pair("mdm", f"{index}.jpg"))
        wanted += pair("mdm", f"{index}.jpg")
        if index < 3:
            store.merge()
    unlink, left = type(tmp_path).unlink, removed

    def killed(path, **options):
        nonlocal left
        if path.name.startswith("merged"):
            if not left:
                raise KeyboardInterrupt
            left -= 1
        unlink(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(tmp_path), "unlink", killed)
        try:
            store.merge()
            assert removed == 4
        except KeyboardInterrupt:
            assert len(store.shards()) == 5 - removed
    again = Store.open(tmp_path)
    assert not again.damaged
    assert merged_rows(again) == [len(wanted)]
    assert sorted(again.rows(), key=repr) == sorted(wanted, key=repr)


def test_the_digest_does_not_depend_on_chunks_and_changes_with_every_value():
    rows = [*pair("mdm", "a.jpg"), *pair("rise", "Ä.jpg"), row(value=float("nan")), row(curve=()), row(image="")]
    whole = to_table(rows)
    parts = pyarrow.concat_tables([whole.slice(start, 2) for start in range(0, len(rows), 2)])
    assert column_digest(parts, "[]") == column_digest(whole, "[]") == column_digest(to_table(rows), "[]")
    digests = {column_digest(whole, "[]"), column_digest(whole, '["pair"]')}
    changed = [rows[:-1], rows[::-1]]
    for place, one in enumerate(rows):
        others = {
            "model": "n", "method": "x", "image": one.image + " ", "group": "", "metric": "m", "value": None,
            "protocol": "", "target": 9, "curve": (0.25, 1.0), "forward": 1, "backward": 1, "seconds": 2.0,
            "failure": "",
        }  # fmt: skip
        for name, value in others.items():
            other = dataclasses.replace(one, **{name: value})
            if other != one:
                changed.append([*rows[:place], other, *rows[place + 1 :]])
    changed += [[dataclasses.replace(one, value=0.0 if one.value is None else one.value) for one in rows]]
    digests |= {column_digest(to_table(each), "[]") for each in changed}
    assert len(digests) == len(changed) + 2


def test_shards_with_the_digest_of_older_versions_are_still_checked(tmp_path):
    store = Store.open(tmp_path)
    shard = store.write(pair("mdm", "a.jpg"))
    table = pyarrow.parquet.read_table(shard)
    for digest, damaged in ((json_digest(table, "[]"), 0), ("0" * 64, 1)):
        old = table.replace_schema_metadata({"holds": "[]", "digest": digest})
        pyarrow.parquet.write_table(old, shard)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(Store.open(tmp_path).damaged) == damaged


@pytest.mark.slow
def test_what_is_measured_is_known_for_each_image_of_a_plan(tmp_path):
    store, chance = Store.open(tmp_path), np.random.default_rng(0)
    images = [f"{number}.jpg" for number in range(30)]
    for image in images:
        for method in ("mdm", "rise"):
            if chance.random() < 0.5:
                store.write(pair(method, image)[: chance.integers(1, 4)])
        if image == "20.jpg":
            store.merge()
    store.write([ResultRow("other", "mdm", images[0], "complexity", "gini", 0.5)])
    done = store.finished()
    plan = [*images[::-2], "new.jpg"]
    found = store.measured("net", plan)
    for method in ("mdm", "rise", "lime"):
        for group in ("complexity", "faithfulness", "localization", "road"):
            wanted = [("net", method, image, group) in done for image in plan]
            assert found.get((method, group), np.zeros(len(plan), bool)).tolist() == wanted
    assert store.measured("unknown", plan) == {}
    assert store.measured("other", plan[:-1])["mdm", "complexity"].sum() == (images[0] in plan)


def test_places_of_names_with_one_hash_are_told_apart(monkeypatch):
    class Name(str):
        def __hash__(self):
            return len(self) % 2

    names = [Name(number) for number in range(0, 200, 3)]
    found = Places(names)([Name(number) for number in range(200)])
    assert found.tolist() == [number // 3 if number % 3 == 0 else -1 for number in range(200)]
    assert Places([])(["a"]).tolist() == [-1]
    assert Places(["a"])([]).tolist() == []
