"""The program answers ``--version`` and ``--help`` at once, and its list of commands says what the commands say."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest
import typer.main

from maskstack.cli import main as program
from maskstack.cli import prototypes
from maskstack.cli.main import app, main

HEAVY = ("torch", "matplotlib", "numpy", "PIL", "gradio", "lightning", "duckdb")


ANSWERED = ([], ["--version"], ["--help"], ["prototypes", "--help"], ["explian"])


@pytest.mark.slow
@pytest.mark.parametrize("start", ["from maskstack.cli.main import main", "from maskstack.__main__ import run as _"])
def test_answers_import_no_torch(start: str) -> None:
    code = (
        f"{start}\nfrom maskstack.cli.main import main\nimport sys\nfor arguments in {ANSWERED}:\n    main(arguments)\n"
    )
    code += f"    print('loaded:', arguments, [name for name in {HEAVY} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    said = [line for line in out.splitlines() if line.startswith("loaded:")]
    assert said == [f"loaded: {arguments} []" for arguments in ANSWERED]


@pytest.mark.slow
def test_python_m_is_the_same_program() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "maskstack", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("maskstack ")
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "maskstack.cli.main" in modules
    assert not modules & set(HEAVY)


def test_help_lists_every_command_with_its_own_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert list(commands) == list(program.VERBS)
    for verbs, found in ((program.VERBS, commands), (prototypes.VERBS, commands["prototypes"].commands)):
        for name, verb in verbs.items():
            assert inspect.cleandoc(found[name].help).splitlines()[0].strip() == verb.help
    assert main(["--help"]) == 0
    out = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name, verb in program.VERBS.items():
        assert f"{name} {verb.help}" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["explian"],
            r"maskstack: No such command 'explian'(\. Did you mean 'explain'\? See|; see) 'maskstack --help'",
        ),
        (["models", "--nothing"], r"No such option: --nothing; see 'maskstack models --help'"),
        (["prototypes", "trian"], r"No such command 'trian'.*ee 'maskstack prototypes --help'"),
    ],
)
def test_wrong_usage_names_the_help_that_exists(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert re.search(sentence, " ".join(capsys.readouterr().err.split()))
