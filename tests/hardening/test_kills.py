"""Kills at any moment: nothing is lost, nothing is there twice, nothing hidden stays, and the next run continues."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from tests.hardening.counts import tries

from maskstack import Explanation
from maskstack.errors import InputError, OutputError
from maskstack.explanation.storage import is_complete
from maskstack.files import BESIDE, tidy, write_whole
from maskstack.runs.folder import locked

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills are those of POSIX")

NET = """
import torch
from torch import nn

def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))
"""

WRITER = """
import sys
from pathlib import Path
from maskstack.files import tidy, write_whole
folder = Path(sys.argv[1])
tidy(folder)
print("ready", flush=True)
number = 0
while True:
    number += 1
    write_whole(folder / f"{number % 5}.txt", lambda file: file.write_text(f"{number}" * 20000))
"""


def hidden(folder: Path) -> list[Path]:
    """Temporary files that were left."""
    return list(folder.rglob(f"{BESIDE}*"))


def test_killed_writers_leave_whole_files_and_what_they_left_is_tidied(tmp_path) -> None:
    chance, command = random.Random(0), [sys.executable, "-c", WRITER, str(tmp_path)]
    for _ in range(tries(3, 60)):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.random() / 5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        for path in tmp_path.glob("*.txt"):
            text = path.read_text()
            assert text == text[: len(text) // 20000] * 20000
    tidy(tmp_path)
    assert not hidden(tmp_path)


def test_files_of_a_living_process_are_not_tidied(tmp_path) -> None:
    seen = []

    def write(file: Path) -> None:
        file.write_text("half")
        seen.append((tidy(tmp_path), file.exists()))
        file.write_text("whole")

    write_whole(tmp_path / "a.txt", write)
    assert seen == [(0, True)]
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_nothing_else_is_tidied(tmp_path) -> None:
    others = [".maskstack-probe", ".hidden", f"{BESIDE}x-y-z", f"{BESIDE}notes-1", "a.txt", f"{BESIDE}12345678-x-1.txt"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / "target").write_text("mine")
    (tmp_path / f"{BESIDE}{'0' * 8}-1-link").symlink_to(tmp_path / "target")
    assert tidy(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == len(others) + 2


def test_a_second_run_in_a_folder_is_refused(tmp_path) -> None:
    with locked(tmp_path), pytest.raises(InputError, match="in use by another process"), locked(tmp_path):
        pass


def command(place: Path, *arguments: str) -> list[str]:
    """The command line, on the small network."""
    (place / "net.py").write_text(NET)
    return [sys.executable, "-m", "maskstack.cli", *arguments, "--model", f"net=python:{place / 'net.py'}:make,size=32"]


def killed_often(line: list[str], kills: int, *, seed: int, longest: float) -> None:
    """Run a command, kill it, and run it again, each time after another time."""
    chance = random.Random(seed)
    for _ in range(kills):
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            _, error = process.communicate(timeout=0.3 + chance.random() * longest)
        except subprocess.TimeoutExpired:
            process.kill()
            _, error = process.communicate()
        assert "Traceback" not in error, error


def write_photos(folder: Path, count: int) -> list[Path]:
    """Photos of noise."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        Image.effect_noise((48, 40), 20 + number).convert("RGB").save(path)
    return paths


@pytest.mark.slow
def test_explain_killed(tmp_path) -> None:
    paths, out = write_photos(tmp_path / "photos", 4), tmp_path / "out"
    line = command(
        tmp_path, "explain", *map(str, paths), "--resume", "--steps", "2", "--preset", "fast", "--out", str(out)
    )
    line[-1] = line[-1].removeprefix("net=")
    killed_often(line, tries(2, 60), seed=1, longest=8.0)
    subprocess.run(line, check=True, capture_output=True)
    assert not hidden(out)
    for path in paths:
        assert is_complete(out / f"{path.stem}.safetensors")
        assert Explanation.load(out / f"{path.stem}.safetensors").notes["photo"] == path.name
        assert (out / f"{path.stem}.overlay.png").is_file()
        assert (out / f"{path.stem}.figure.png").is_file()


@pytest.mark.slow
def test_bench_and_report_killed(tmp_path) -> None:
    pytest.importorskip("pyarrow", reason="the extra 'bench' is not installed")
    pytest.importorskip("duckdb", reason="the extra 'bench' is not installed")
    from maskstack.runs.store import Store

    write_photos(tmp_path / "photos", 4)
    run = tmp_path / "run"
    line = command(tmp_path, "bench", "--data", str(tmp_path / "photos"), "--methods", "mdm:steps=2,random,centre")
    line += ["--metrics", "complexity", "--maps", "--out", str(run)]
    killed_often(line, tries(2, 120), seed=2, longest=8.0)
    subprocess.run(line, check=True, capture_output=True)
    keys = [(row.method, row.image, row.metric) for row in Store(run / "rows").rows()]
    assert len(keys) == len(set(keys))
    assert len({(method, image) for method, image, _ in keys}) == 12
    report = [sys.executable, "-m", "maskstack.cli", "report", str(run), "--reference", "mdm:steps=2"]
    killed_often(report, tries(1, 60), seed=3, longest=5.0)
    subprocess.run(report, check=True, capture_output=True)
    assert not hidden(run)
    assert "</html>" in (run / "report" / "report.html").read_text(encoding="utf-8")


def test_a_kill_between_the_two_files_of_an_explanation_is_mended(tmp_path) -> None:
    from tests.small import network, photos

    from maskstack import MDM

    found = MDM(network(), preset="fast", sizes=(2, 4), steps=2)(photos(1, (16, 16)), 1)
    path = found.save(tmp_path / "map")
    assert is_complete(path)
    beside = path.with_suffix(".json")
    for content in (None, "", "{}", beside.read_text().replace("digest", "digets")):
        beside.unlink()
        if content is not None:
            beside.write_text(content)
        assert not is_complete(path)
        Explanation.load(path).save(path)
        assert is_complete(path)


def test_a_training_checkpoint_is_whole_and_the_one_before_it_is_kept(tmp_path, monkeypatch) -> None:
    pytest.importorskip("lightning", reason="the extra 'prototypes' is not installed")
    import torch

    from maskstack.prototypes.epochs import BEFORE, BEST, LAST, WholeCheckpoints, latest

    io = WholeCheckpoints()
    assert latest(tmp_path) is None
    for epoch in range(2):
        io.save_checkpoint({"epoch": epoch, "weights": torch.rand(50)}, tmp_path / LAST)
    assert latest(tmp_path) == tmp_path / LAST
    whole = (tmp_path / LAST).read_bytes()
    for content in (b"", whole[:-30], whole[: len(whole) // 2], whole.replace(b"epoch", b"epoxx")):
        (tmp_path / LAST).write_bytes(content)
        assert latest(tmp_path) == tmp_path / BEFORE
        assert torch.load(tmp_path / BEFORE, weights_only=True)["epoch"] == 0
    (tmp_path / LAST).write_bytes(whole)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputError, match="No space left"):
            io.save_checkpoint({"epoch": 2}, tmp_path / LAST)
    assert (tmp_path / LAST).read_bytes() == whole
    assert not hidden(tmp_path)
    (tmp_path / BEST).write_bytes(b"half")
    assert latest(tmp_path) is None


@pytest.mark.slow
def test_training_killed(tmp_path) -> None:
    pytest.importorskip("lightning", reason="the extra 'prototypes' is not installed")
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'demo' is not installed")
    from tests.prototypes.conftest import as_toml, config, write_folders

    from maskstack.prototypes.checkpoint import load

    data, out = write_folders(tmp_path / "data"), tmp_path / "run"
    (tmp_path / "train.toml").write_text(as_toml(config(data)))
    line = [
        sys.executable,
        "-m",
        "maskstack.cli",
        "prototypes",
        "train",
        str(tmp_path / "train.toml"),
        "--out",
        str(out),
    ]
    killed_often(line, tries(1, 60), seed=4, longest=20.0)
    subprocess.run(line, check=True, capture_output=True)
    assert load(out).class_names == ("cat", "coffee", "person")
    assert not hidden(out)
