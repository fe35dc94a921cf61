"""Kills at any moment: nothing is lost, nothing is there twice, nothing hidden stays, and the next run continues."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.hardening.counts import Tally, tries
from tests.hardening.warm import FULL, INTERRUPTED, KILLED, Warm, warmed

from maskstack import Explanation
from maskstack.errors import InputError, OutputError
from maskstack.explanation.storage import is_complete
from maskstack.files import BESIDE, tidy, write_whole
from maskstack.runs.folder import locked
from maskstack.tensor_files import check_digest, header_of, read_tensors

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills are those of POSIX")

NET = """
import torch
from torch import nn

def make():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    return nn.Sequential(*layers)
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


@pytest.mark.slow
def test_killed_writers_leave_whole_files_and_what_they_left_is_tidied(tally, tmp_path) -> None:
    chance, command = random.Random(0), [sys.executable, "-c", WRITER, str(tmp_path)]
    for _ in range(tries(3, 60)):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.random() / 5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with tally.trial("writer killed"):
            for path in {*tmp_path.glob("*.txt")} - {*hidden(tmp_path)}:
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


def write_photos(folder: Path, count: int) -> list[Path]:
    """Photos of noise."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        Image.effect_noise((48, 40), 20 + number).convert("RGB").save(path)
    return paths


@pytest.fixture(scope="module")
def warm(tmp_path_factory) -> Iterator[Warm]:
    """A process from which commands are forked."""
    with warmed(tmp_path_factory.mktemp("warm"), ("maskstack.cli.main", "matplotlib.pyplot")) as process:
        yield process


@pytest.fixture
def net(tmp_path) -> str:
    """The spec of the small network."""
    (tmp_path / "net.py").write_text(NET)
    return f"python:{tmp_path / 'net.py'}:make,size=32"


def disturb(
    warm: Warm,
    arguments: list[str],
    out: Path,
    *,
    kills: int,
    seed: int,
    tally: Tally,
    check: Callable[[], None],
    start: Callable[[], object],
) -> None:
    """Run a command again and again, and disturb it each time; in the end it is left alone and has to succeed.

    Most runs are killed; some are interrupted as by Ctrl-C, or find the disk full. Half of the moments are right before
    a change to the command's files, the others are any.

    Args:
        warm: Runs the command.
        arguments: Those of the command line.
        out: Folder of the command's files.
        kills: Number of runs to kill.
        seed: Of the choices.
        tally: Counts the trials.
        check: Raises an error if a file is not whole, or if something is lost.
        start: Removes the results, so that there is something to do.
    """
    chance = random.Random(seed)
    usual = warm.run(arguments, out)
    assert usual.code == 0, usual.error
    usual = replace(usual, seconds=min(usual.seconds, 20.0))
    start()
    left, runs = kills, 0
    while left and runs < 3 * kills + 3:
        runs += 1
        kind = chance.choices((KILLED, INTERRUPTED, FULL), (8, 1, 1))[0]
        moment: dict[str, Any] = {"after": chance.random() * usual.seconds / 2}
        if kind == FULL or chance.random() < 0.5:
            moment = {"change": chance.randint(1, max(usual.changes // 2, 2))}
        label = f"{arguments[0]} {kind} at {moment}"
        found = warm.run(arguments, out, kind=kind, **moment)
        left -= found.code == -signal.SIGKILL
        with tally.trial(label):
            assert "Traceback" not in found.error, found.error
            assert found.code in (0, -signal.SIGKILL if kind == KILLED else 2, 130 if kind == INTERRUPTED else 0)
            assert kind == KILLED or not hidden(out)
            check()
        if found.code == 0:
            with tally.trial(f"{label}, then finished"):
                assert not hidden(out)
            start()
    with tally.trial(f"{arguments[0]} left alone"):
        last = warm.run(arguments, out)
        assert last.code == 0, last.error
        assert not hidden(out)
        check()


def whole(folder: Path) -> None:
    """Check that each file of a folder can be read."""
    for path in folder.rglob("*"):
        if path.name.startswith(".") or path.parent.name == "damaged":
            continue
        if path.suffix == ".png":
            with Image.open(path) as picture:
                picture.load()
        elif path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".safetensors":
            tensors, about = read_tensors(path)
            check_digest(path, tensors, about, required=True)
        elif path.suffix == ".html":
            assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")


@pytest.mark.slow
def test_explain(warm, net, tally, tmp_path) -> None:
    paths, out = write_photos(tmp_path / "photos", 3), tmp_path / "out"
    line = ["explain", *map(str, paths), "--resume", "--steps", "2", "--preset", "fast", "--out", str(out), "--model"]
    done: dict[Path, str] = {}

    def check() -> None:
        whole(out)
        # A map that is there stays the same, also when its pictures have to be drawn again.
        for path in set(out.glob("*.safetensors")) - set(hidden(out)):
            assert done.setdefault(path, header_of(path)["digest"]) == header_of(path)["digest"]

    def start() -> None:
        shutil.rmtree(out, ignore_errors=True)
        done.clear()

    disturb(warm, [*line, net], out, kills=tries(2, 100), seed=1, tally=tally, check=check, start=start)
    for path in paths:
        assert is_complete(out / f"{path.stem}.safetensors")
        assert Explanation.load(out / f"{path.stem}.safetensors").notes["photo"] == path.name
        assert (out / f"{path.stem}.overlay.png").is_file()
        assert (out / f"{path.stem}.figure.png").is_file()


@pytest.mark.slow
def test_bench_and_report(warm, net, tally, tmp_path) -> None:
    pytest.importorskip("pyarrow", reason="the extra 'bench' is not installed")
    pytest.importorskip("duckdb", reason="the extra 'bench' is not installed")
    from maskstack.runs.store import Store

    write_photos(tmp_path / "photos", 4)
    run = tmp_path / "run"
    line = ["bench", "--data", str(tmp_path / "photos"), "--methods", "mdm:steps=2,random,centre", "--maps"]
    line += ["--metrics", "complexity", "--out", str(run), "--model", f"net={net}"]
    done: set[tuple[str, ...]] = set()

    def check() -> None:
        whole(run)
        rows = list(Store(run / "rows").rows()) if (run / "rows").is_dir() else []
        keys = [(row.method, row.image, row.metric) for row in rows]
        assert len(keys) == len(set(keys)), "a row is there twice"
        assert done <= set(keys), "a row is lost"
        done.update(keys)

    def start() -> None:
        shutil.rmtree(run, ignore_errors=True)
        done.clear()

    disturb(warm, line, run, kills=tries(2, 120), seed=2, tally=tally, check=check, start=start)
    assert len({(method, image) for method, image, _ in done}) == 12
    report = ["report", str(run), "--reference", "mdm:steps=2"]
    shutil.rmtree(run / "report", ignore_errors=True)
    disturb(
        warm, report, run, kills=tries(1, 40), seed=3, tally=tally, check=check,
        start=lambda: shutil.rmtree(run / "report", ignore_errors=True),
    )  # fmt: skip
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
def test_training(warm, tally, tmp_path) -> None:
    pytest.importorskip("lightning", reason="the extra 'prototypes' is not installed")
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'demo' is not installed")
    from tests.prototypes.conftest import as_toml, config, write_folders

    from maskstack.prototypes.checkpoint import load

    data, out = write_folders(tmp_path / "data"), tmp_path / "run"
    (tmp_path / "train.toml").write_text(as_toml(config(data)))
    line = ["prototypes", "train", str(tmp_path / "train.toml"), "--out", str(out)]
    weights: list[str] = []

    def check() -> None:
        whole(out)
        if (out / "checkpoint" / "prototypes.json").is_file():
            weights.append(load(out).digest)
            assert weights[-1] == weights[0], "a training that was resumed ends elsewhere"

    def start() -> None:
        check()
        shutil.rmtree(out)

    disturb(warm, line, out, kills=tries(1, 60), seed=4, tally=tally, check=check, start=start)
    assert load(out).class_names == ("cat", "coffee", "person")
