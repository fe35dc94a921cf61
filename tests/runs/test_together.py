"""Rows of quick maps share a shard, and none is lost when the work ends, however it ends."""

import pytest

from maskstack.errors import OutputError
from maskstack.runs import store as store_module
from maskstack.runs.rows import ResultRow
from maskstack.runs.store import Store
from maskstack.runs.together import RowsTogether


class Listener:
    def __init__(self):
        self.calls = []

    def finished(self, maps, rows):
        self.calls.append((maps, [row.image for row in rows]))


def rows(image):
    return [ResultRow("net", "centre", image, "complexity", metric, 0.5) for metric in ("gini", "sparseness")]


def images(store):
    return sorted({row.image for row in store.rows()})


def test_quick_maps_share_a_shard_and_slow_ones_do_not_wait(tmp_path):
    store, listener = Store.open(tmp_path), Listener()
    with RowsTogether(store, listener, at_risk=1.0) as together:
        for image in "abc":
            together.add(rows(image), 0.3)
        assert store.shards() == []
        together.add(rows("d"), 0.3)
        assert len(store.shards()) == 1
        together.add(rows("e"), 5.0)
        assert len(store.shards()) == 2
        together.add(rows("f"), 0.0)
        assert images(store) == list("abcde")
    assert images(store) == list("abcdef")
    assert listener.calls == [(4, list("aabbccdd")), (1, ["e", "e"]), (1, ["f", "f"])]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, GeneratorExit])
def test_what_is_measured_is_written_when_the_work_is_interrupted(tmp_path, error):
    store, listener = Store.open(tmp_path), Listener()

    def interrupted():
        with RowsTogether(store, listener) as together:
            together.add(rows("a"), 0.0)
            raise error

    with pytest.raises(error):
        interrupted()
    assert images(store) == ["a"]
    assert listener.calls == [(1, ["a", "a"])]


def test_rows_whose_writing_was_interrupted_are_there_once(tmp_path, monkeypatch):
    store, listener = Store.open(tmp_path), Listener()
    write = store.write

    def interrupted(given):
        write(given)
        monkeypatch.setattr(store, "write", write)
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "write", interrupted)
    with pytest.raises(KeyboardInterrupt), RowsTogether(store, listener) as together:
        together.add(rows("a"), 1.0)
    assert [row.image for row in store.rows()] == ["a", "a"]
    assert len(store.shards()) == 1


def test_a_full_disk_is_an_error_and_the_maps_are_not_said_to_be_measured(tmp_path, monkeypatch):
    store, listener = Store.open(tmp_path), Listener()

    def full(_):
        raise OutputError("cannot write rows: no space left")

    monkeypatch.setattr(store, "write", full)
    with pytest.raises(OutputError, match="no space left"), RowsTogether(store, listener) as together:
        together.add(rows("a"), 1.0)
    assert listener.calls == []
    assert store.shards() == []


def test_shards_are_merged_as_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "MERGE_AT", 5)
    store = Store.open(tmp_path)
    with RowsTogether(store, Listener(), at_risk=1.0) as together:
        for number in range(20):
            together.add(rows(f"{number:02}"), 0.5)
    assert [path.name[:6] for path in store.shards()] == ["merged", "merged"]
    assert len(list(store.rows())) == 40
