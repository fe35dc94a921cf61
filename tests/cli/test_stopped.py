"""Ctrl-C, and a reader such as ``head`` that ends first: what is kept is said, and what continues the work."""

import os
import sys

import pytest

from maskstack.cli.console import plain_console
from maskstack.cli.main import main

RESUMED = "; finished results are kept, and --resume continues from there"
REPEATED = "; finished results are kept, and the same command continues from there"
ANEW = "; finished pages are kept, and the same command makes all of them again"


@pytest.fixture(
    params=[
        (["explain", "photo.jpg"], "maskstack.cli.explain.explain_photos", RESUMED),
        (["bench", "--data", ".", "--out", "run"], "maskstack.cli.bench.run_bench", REPEATED),
        (["prototypes", "explain", ".", "photo.jpg"], "maskstack.cli.prototypes.explain.open_photo", ANEW),
        (["models"], "maskstack.cli.models.Table", ""),
    ],
    ids=lambda param: " ".join(param[0][:2]),
)
def stopped(request, monkeypatch):
    """Arguments of a command whose work is done by another function, and what is kept; the function is given."""
    arguments, work, kept = request.param

    def by(instead):
        monkeypatch.setattr(work, lambda *_arguments, **_options: instead())
        return arguments, kept

    return by


def test_ctrl_c_says_what_continues_the_work(stopped, capsys):
    def interrupt():
        raise KeyboardInterrupt

    arguments, kept = stopped(interrupt)
    assert main(arguments) == 130
    assert capsys.readouterr().err == f"maskstack: stopped{kept}\n"


def test_a_reader_that_ends_first_is_told_apart_from_the_end_of_the_work(stopped, capsys, monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        arguments, kept = stopped(lambda: plain_console().print("a line", highlight=False) or output.flush())
        assert main(arguments) == (1 if kept else 0)
        said = f"maskstack: stopped, because nothing reads the output any more{kept}\n"
        assert capsys.readouterr().err == (said if kept else "")
