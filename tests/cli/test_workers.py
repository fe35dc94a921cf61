"""``maskstack explain --workers``: photos in several processes, with the results of one."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import maskstack.jobs.explain
from maskstack.cli.main import main
from maskstack.cli.results import ResultReporter
from maskstack.errors import InputError
from maskstack.jobs.explain import ExplainRequest
from maskstack.jobs.processes import Processes
from maskstack.reliability.measure import likeness

pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'demo' is not installed")
data = pytest.importorskip("skimage.data", reason="the extra 'demo' is not installed")

QUICK = ["--model", "bundled,size=128", "--preset", "single", "--sizes", "4,7"]
NAMES = ("astronaut", "chelsea", "coffee")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("photos")
    for name in NAMES:
        Image.fromarray(getattr(data, name)()).resize((300, 300)).save(place / f"{name}.png")
    return place


def explained(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, object]:
    code = main(["explain", *map(str, arguments), "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out)


def test_the_results_are_those_of_one_process_in_the_same_order(folder, tmp_path, capsys, monkeypatch):
    # Three photos are too few for two processes by default.
    monkeypatch.setattr(maskstack.jobs.explain, "process_count", lambda maps, device: 2)
    started = []
    monkeypatch.setattr(maskstack.jobs.explain, "Processes", lambda *given: started.append(given) or Processes(*given))
    threads = torch.get_num_threads()
    options = (folder, *QUICK, "--steps", "3", "--map", "npy")
    alone = explained(capsys, *options, "--out", tmp_path / "alone", "--workers", "1")
    assert not started
    begun = []
    with monkeypatch.context() as watched:
        watched.setattr(ResultReporter, "begin", lambda self, number, together=1: begun.append((number, together)))
        several = explained(capsys, *options, "--out", tmp_path / "several")
    assert begun == [(0, 2), (2, 1)], "the pace is that of all processes together"
    assert [workers for _, workers in started] == [2]
    assert torch.get_num_threads() == threads
    assert not multiprocessing.active_children()
    assert [each["photo"] for each in several["results"]] == [each["photo"] for each in alone["results"]]
    names = [{file.name for file in (tmp_path / out).iterdir()} for out in ("alone", "several")]
    assert names[0] == names[1]
    for name in NAMES:
        one, other = (load_file(tmp_path / out / f"{name}.safetensors") for out in ("alone", "several"))
        # With fewer threads and other photos in a pass sums are rounded in another order.
        assert likeness(one["saliency"], other["saliency"]) > 0.99
        assert np.load(tmp_path / "several" / f"{name}.map.npy").shape == (300, 300)
    again = explained(capsys, *options, "--out", tmp_path / "several", "--workers", "2", "--resume")
    assert again["cost"]["already_done"] == len(NAMES)


@pytest.mark.parametrize("when", ["while they import", "while both search"])
def test_a_process_that_is_killed_is_said_and_what_is_done_is_kept(folder, tmp_path, capsys, when):
    steps = "3" if when == "while they import" else "2000"

    def kill() -> None:
        while len(children := multiprocessing.active_children()) < 2:
            time.sleep(0.05)
        while when == "while both search" and not (tmp_path / ".lock").exists():
            time.sleep(0.05)
        time.sleep(6 if when == "while both search" else 0.5)
        os.kill(children[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    code = main(["explain", str(folder), *QUICK, "--steps", steps, "--out", str(tmp_path), "--workers", "2"])
    killer.join()
    assert code == 2
    assert "a process of --workers was ended" in capsys.readouterr().err
    assert not multiprocessing.active_children()
    assert len(explained(capsys, folder, *QUICK, "--steps", "3", "--out", tmp_path, "--resume")["results"]) > 0


FAILING = """
from torch import nn

class Failing(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers, self.calls = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 3)), 0

    def forward(self, images):
        self.calls += 1
        if self.calls > 12:
            raise ValueError("the thirteenth call")
        return self.layers(images)
"""


def test_an_error_within_a_process_is_one_sentence_too_and_ends_all(folder, tmp_path, capsys, monkeypatch):
    (tmp_path / "failing_network.py").write_text(FAILING)
    monkeypatch.syspath_prepend(tmp_path)
    options = [str(folder), *QUICK, "--steps", "30", "--model", "python:failing_network:Failing"]
    for workers in ("1", "2"):
        code = main(["explain", *options, "--out", str(tmp_path / workers), "--workers", workers])
        sentence = capsys.readouterr().err.strip().splitlines()[-1]
        assert code == 2
        assert not multiprocessing.active_children()
        assert sentence.startswith("maskstack: ")
        assert sentence.endswith("(ValueError: the thirteenth call)")


@pytest.mark.parametrize(("number", "after"), [(signal.SIGINT, 0.2), (signal.SIGINT, 5.0), (signal.SIGKILL, 1.0)])
def test_when_it_is_ended_its_processes_end_too(folder, tmp_path, number, after):
    """While they import, load or search; when which of these is the case depends on the machine."""
    command = [sys.executable, "-m", "maskstack", "explain", str(folder), *QUICK, "--steps", "2000"]
    running = subprocess.Popen(
        [*command, "--out", str(tmp_path), "--workers", "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    children: list[int] = []
    until = time.monotonic() + 60
    while len(children) < 2 and time.monotonic() < until:
        children = workers_of(running.pid)
        time.sleep(0.1)
    assert len(children) == 2
    time.sleep(after)
    os.killpg(running.pid, number) if number == signal.SIGINT else os.kill(running.pid, number)
    _, errors = running.communicate(timeout=60)
    until = time.monotonic() + 30
    while any(is_alive(child) for child in children) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(is_alive(child) for child in children)
    if number == signal.SIGINT:
        assert running.returncode == 130
        assert b"Traceback" not in errors, errors.decode()
        assert not [file for file in tmp_path.glob("*") if file.name.startswith(".") and file.name != ".lock"]


def workers_of(process: int) -> list[int]:
    """Processes of this one's workers, which Linux lists."""
    place = Path(f"/proc/{process}/task/{process}/children")
    if not place.exists():
        pytest.skip("the system has no list of a process's children")
    try:
        children = [int(child) for child in place.read_text().split()]
        return [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    except OSError:
        return []


def is_alive(process: int) -> bool:
    """Whether a process runs and is not only waiting to be collected."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_gpu_is_not_shared(tmp_path, monkeypatch):
    monkeypatch.setattr(maskstack.jobs.explain, "pick_device", torch.device)
    ExplainRequest(photos=("photo.jpg",), out=tmp_path, device="cuda").check()
    with pytest.raises(InputError, match="--workers shares the cores of the CPU"):
        ExplainRequest(photos=("photo.jpg",), out=tmp_path, workers=2, device="cuda").check()
