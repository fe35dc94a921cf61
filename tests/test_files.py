"""Files appear whole or not at all, whatever happens while they are written."""

import errno
import json
import math
import os
import stat
from pathlib import Path

import pytest

from maskstack.errors import OutputError
from maskstack.files import json_text, write_whole


def half_then(error: BaseException):
    def write(path: Path) -> None:
        path.write_bytes(b"half of the new fi")
        raise error

    return write


@pytest.fixture(params=[None, b"what was there before"], ids=["new file", "over an old file"])
def place(request, tmp_path: Path) -> tuple[Path, dict[str, bytes]]:
    path = tmp_path / "map.safetensors"
    if request.param is not None:
        path.write_bytes(request.param)
    return path, contents(tmp_path)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_writes_the_whole_file_and_makes_missing_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "map.json"
    seen = []
    assert write_whole(str(path), lambda beside: (seen.append(beside), beside.write_text("new"))) == path
    assert contents(path.parent) == {"map.json": b"new"}
    assert seen[0].parent == path.parent, "a rename is only atomic within one file system"
    assert seen[0].suffix == ".json", "writers such as PIL choose the format by the suffix"


def test_replaces_an_old_file(place) -> None:
    path, _before = place
    write_whole(path, lambda beside: beside.write_bytes(b"new"))
    assert contents(path.parent) == {path.name: b"new"}


@pytest.mark.parametrize("error", [ValueError("bad value"), KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_an_interrupted_writer_leaves_all_as_it_was(place, error) -> None:
    path, before = place
    with pytest.raises(type(error)):
        write_whole(path, half_then(error))
    assert contents(path.parent) == before


def test_a_full_disk_is_an_output_error_and_leaves_all_as_it_was(place) -> None:
    path, before = place
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OutputError, match=r"cannot write .*map\.safetensors: No space left on device") as caught:
        write_whole(path, half_then(full))
    assert caught.value.__cause__ is full
    assert contents(path.parent) == before


def test_a_disk_that_fills_up_at_the_last_moment_leaves_all_as_it_was(place, monkeypatch) -> None:
    path, before = place

    def fsync(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OutputError, match="No space left"):
        write_whole(path, lambda beside: beside.write_bytes(b"new"))
    assert contents(path.parent) == before


def test_until_the_rename_the_old_file_is_untouched(tmp_path: Path) -> None:
    path = tmp_path / "map"
    path.write_text("old")
    during = []
    write_whole(path, lambda beside: (beside.write_text("new"), during.append(path.read_text())))
    assert during == ["old"]
    assert path.read_text() == "new"


def test_a_file_in_place_of_the_folder_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="choose another place"):
        write_whole(tmp_path / "file" / "map", lambda beside: beside.write_text("new"))
    assert contents(tmp_path) == {"file": b"in the way"}


def test_a_folder_in_place_of_the_file_is_an_output_error_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "map").mkdir()
    called = []
    with pytest.raises(OutputError, match="it is a folder"):
        write_whole(tmp_path / "map", called.append)
    assert not called
    assert list(tmp_path.iterdir()) == [tmp_path / "map"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_permissions_are_those_of_any_new_file(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        path = write_whole(tmp_path / "map", lambda beside: beside.write_text("new"))
        assert os.umask(umask) == umask, "the process's umask was changed"
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_an_output_error(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    with pytest.raises(OutputError, match="Permission denied; choose another place"):
        write_whole(folder / "map", lambda beside: beside.write_text("new"))


def test_numbers_that_are_not_finite_are_null_in_json() -> None:
    text = json_text({"a": (math.nan, [math.inf, 1.5]), "b": {"c": -math.inf, "d": True, "e": "NaN"}})
    assert json.loads(text) == {"a": [None, [None, 1.5]], "b": {"c": None, "d": True, "e": "NaN"}}
