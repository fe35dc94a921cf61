"""Before the page is there: what it offers is found, and what cannot be served is one sentence with exit code 2."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskstack.cli.main import main
from maskstack.errors import InputError
from maskstack.web.serve import _free_port, checkpoints, is_loopback

pytestmark = pytest.mark.slow

NET = """
from torch import nn

def make():
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


@pytest.fixture
def model(tmp_path: Path) -> str:
    """Spec of a network that is loaded in no time."""
    (tmp_path / "nets.py").write_text(NET)
    return f"python:{tmp_path / 'nets.py'}:make,size=16"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port where somebody else listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def checkpoint(place: Path) -> Path:
    place.mkdir(parents=True)
    (place / "prototypes.json").write_text("{}")
    return place


def test_a_checkpoint_is_found_in_a_run_or_by_itself(tmp_path) -> None:
    of_run, alone = checkpoint(tmp_path / "run" / "checkpoint"), checkpoint(tmp_path / "alone")
    assert checkpoints([tmp_path / "run", alone], None) == {"run": of_run, "alone": alone}


def test_a_folders_checkpoints_come_after_those_given(tmp_path) -> None:
    given = checkpoint(tmp_path / "elsewhere" / "birds")
    folder = tmp_path / "folder"
    others = checkpoint(folder / "birds")
    cats = checkpoint(folder / "cats" / "checkpoint")
    (folder / "notes.txt").touch()
    (folder / "empty").mkdir()
    assert list(checkpoints([given], folder).items()) == [
        ("birds", given),
        (str(others), others),
        ("cats", cats),
    ]
    assert checkpoints([], None) == {}


@pytest.mark.parametrize("name", ["missing", "file", "empty"])
def test_what_is_no_checkpoint_is_refused(tmp_path, name) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=f"{name} is not a checkpoint .* give the folder it wrote"):
        checkpoints([tmp_path / name], None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "localhost", "::1"])
def test_a_loopback_address_lets_nobody_in(host) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.168.1.5", "10.0.0.1", "example.org", "127.0.0.1.example.org"]
)
def test_all_others_may(host) -> None:
    assert not is_loopback(host)


def test_port_0_is_one_that_can_be_listened_on() -> None:
    port = _free_port("127.0.0.1", 0)
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", port))
        mine.listen()
        with pytest.raises(InputError, match=f"127.0.0.1:{port} cannot be used as an address"):
            _free_port("127.0.0.1", port)
    assert _free_port("127.0.0.1", port) == port


def test_without_a_port_the_first_free_one_is_taken() -> None:
    first = _free_port("127.0.0.1", None)
    assert 7860 <= first < 7960
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", first))
        mine.listen()
        assert _free_port("127.0.0.1", None) > first


def test_a_port_that_all_addresses_listen_on_is_taken_for_one_of_them() -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        with pytest.raises(InputError, match="cannot be used as an address"):
            _free_port("127.0.0.1", other.getsockname()[1])


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
@pytest.mark.parametrize("wanted", [None, 0])
def test_a_host_that_is_not_this_machine_is_refused(host, wanted) -> None:
    with pytest.raises(InputError, match="--host"):
        _free_port(host, wanted)


def refused(arguments: list[str], capsys) -> str:
    """The only line that the command ends with."""
    assert main(["app", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "", "no address is told"
    [line] = captured.err.splitlines()
    return line


def test_a_port_in_use_is_said(model, taken, capsys) -> None:
    message = refused(["--model", model, "--port", str(taken)], capsys)
    assert message.startswith(f"maskstack: 127.0.0.1:{taken} cannot be used as an address (Address already in use);")


CASES = {
    "kind": (["--model", "tim:resnet18"], "the model kind is 'tim'; it must be one of"),
    "named": (["--model", "mine=python:nope:make"], "nope cannot be imported"),
    "missing file": (["--model", "onnx:nope.onnx"], "nope.onnx"),
    "missing folder": (["--models", "nope"], "nope is not a folder; give a folder of networks"),
    "a file as folder": (["--models", "file"], "file is not a folder"),
    "device": (["--device", "tpu9"], "there is no device"),
    "port out of range": (["--port", "70000"], "see 'maskstack app --help'"),
    "no queue": (["--queue", "0"], "see 'maskstack app --help'"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_offered_is_said(name, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    arguments, says = CASES[name]
    assert says in refused(arguments, capsys)


@pytest.mark.parametrize("place", ["nope", "file", "."])
def test_no_checkpoint_is_said(place, model, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    message = refused(["--model", model, "--prototypes", place], capsys)
    assert message == (
        f"maskstack: {place} is not a checkpoint of 'maskstack prototypes train'; give the folder it wrote"
    )


def test_a_wrong_choice_ends_the_program_with_code_2_before_gradio_is_imported(model, taken) -> None:
    program = (
        "import json, sys; from maskstack.cli.main import main; code = main(sys.argv[1:]);"
        "print(json.dumps([code, 'gradio' in sys.modules]))"
    )
    command = [sys.executable, "-c", program, "app", "--model", model, "--port", str(taken)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    assert json.loads(done.stdout) == [2, False]
    assert len(done.stderr.splitlines()) == 1
    whole = [sys.executable, "-m", "maskstack", "app", "--models", "nope"]
    assert subprocess.run(whole, capture_output=True, timeout=240, check=False).returncode == 2


def test_runs_of_one_name_are_all_offered(tmp_path) -> None:
    runs = [tmp_path / name / "run" for name in "ab"]
    for run in runs:
        (run / "checkpoint").mkdir(parents=True)
        (run / "checkpoint" / "prototypes.json").write_text("{}")
    found = checkpoints([*runs, runs[0] / "checkpoint"], None)
    assert list(found.values()) == [run / "checkpoint" for run in runs]
    assert all(found)


def test_a_host_that_is_no_name_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be used as an address"):
        _free_port("é" * 70, 0)
