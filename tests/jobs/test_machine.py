"""How many processes this machine's memory allows."""

import sys
from pathlib import Path

import pytest
import torch

from maskstack.errors import OutputError
from maskstack.jobs import machine
from maskstack.jobs.machine import MANY_PHOTOS, free_memory, own_memory, process_count

GIB = 1 << 30
CPU = torch.device("cpu")


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cores, and memory for many processes."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(machine, "own_memory", lambda: GIB)
    monkeypatch.setattr(machine, "free_memory", lambda: 60 * GIB)


@pytest.mark.usefixtures("roomy")
def test_many_photos_are_shared_by_two_processes_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert process_count(MANY_PHOTOS, CPU) == 2
    assert process_count(MANY_PHOTOS - 1, CPU) == 1
    assert process_count(1000, torch.device("cuda")) == 1
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert process_count(1000, CPU) == 1, "one core, or OMP_NUM_THREADS=1, which asks for one"


@pytest.mark.usefixtures("roomy")
@pytest.mark.parametrize(("own", "free", "count"), [(1, 6, 2), (1, 5, 1), (3, 17, 1), (1, 0, 1), (0, 0, 1)])
def test_without_memory_for_two_there_is_one(monkeypatch: pytest.MonkeyPatch, own: int, free: int, count: int) -> None:
    monkeypatch.setattr(machine, "own_memory", lambda: own * GIB)
    monkeypatch.setattr(machine, "free_memory", lambda: free * GIB)
    assert process_count(100, CPU) == count


def written(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


MEMINFO = "MemTotal: 9000000 kB\nMemFree: 100 kB\nMemAvailable:    8388608 kB\n"
MANY = str(9223372036854771712)


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({"proc__meminfo": MEMINFO}, 8 * GIB),
        ({}, 0),
        ({"proc__meminfo": "MemTotal: 1 kB\n"}, 0),
        ({"proc__meminfo": MEMINFO, "sys__fs__cgroup__memory.max": "max\n"}, 8 * GIB),
        (
            {
                "proc__meminfo": MEMINFO,
                "sys__fs__cgroup__memory.max": str(2 * GIB),
                "sys__fs__cgroup__memory.current": str(GIB // 2),
            },
            GIB * 3 // 2,
        ),
        (
            {
                "proc__meminfo": MEMINFO,
                "sys__fs__cgroup__memory__memory.limit_in_bytes": str(GIB),
                "sys__fs__cgroup__memory__memory.usage_in_bytes": str(2 * GIB),
            },
            0,
        ),
        (
            {
                "proc__meminfo": MEMINFO,
                "sys__fs__cgroup__memory__memory.limit_in_bytes": MANY,
                "sys__fs__cgroup__memory__memory.usage_in_bytes": str(GIB),
            },
            8 * GIB,
        ),
    ],
    ids=["machine", "no Linux", "old Linux", "no limit", "a container's limit", "full", "no limit, cgroup 1"],
)
def test_free_memory_is_what_the_machine_and_the_container_leave(tmp_path: Path, files: dict[str, str], free: int):
    assert free_memory(written(tmp_path, **files)) == free


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say it this way")
def test_this_machine_says_its_memory() -> None:
    assert free_memory() > 10 << 20
    assert 50 << 20 < own_memory() < 1 << 40


def test_a_file_is_no_folder_for_results(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(OutputError, match=r"photo.jpg is a file; give a folder for the results"):
        machine.check_writable(tmp_path / "photo.jpg")


def test_a_folder_below_a_file_is_named_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(OutputError, match=r"photo.jpg is a file; give a folder for the results"):
        machine.check_writable(tmp_path / "photo.jpg" / "x" / "y")


def test_a_folder_that_cannot_be_made_is_named_without_files_of_our_own(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to(tmp_path / "gone")
    with pytest.raises(OutputError, match=r"cannot write to the folder .*gone.*: .*; choose another folder") as raised:
        machine.check_writable(tmp_path / "gone" / "x")
    assert "probe" not in str(raised.value)
