"""Shards: whole, merged without doubles, damage set aside."""

import json

import duckdb
import pytest

from maskstack.runs import store as store_module
from maskstack.runs.rows import FAILED, ResultRow
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
