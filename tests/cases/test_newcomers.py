"""A newcomer's first mistakes and wishes: suggestions, checks before anything is written, and words that are true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.cases.nets import IMAGES, QUICK, explain, net

from maskstack import MDM, InputError, MissingExtraError, load_model
from maskstack.cli.main import main
from maskstack.errors import require
from maskstack.models import LoadedModel, Preprocess

ROOT = Path(__file__).parent.parent.parent
NETWORK = """
import torch
from torch import nn

def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETWORK)
    Image.effect_noise((40, 30), 90).convert("RGB").save(tmp_path / "photo.png")
    return tmp_path


def words(captured: str) -> str:
    return " ".join(captured.split())


SUGGESTED = {
    "resnet50": r"write timm:resnet50 or torchvision:resnet50",
    "resnet50,pretrained": r"write timm:resnet50 or torchvision:resnet50",
    "google/vit-base-patch16-224": "write hf:google/vit-base-patch16-224",
    "network.onnx": "write onnx:network.onnx",
    "network.pt2": "write exported:network.pt2",
    "weights.pth": r"needs its network: write timm:resnet18,weights=weights\.pth",
    "nets.py": r"write python:nets\.py:FUNCTION",
    "nets.py:small": r"write python:nets\.py:small",
    "tmm:resnet18": r"did you mean timm\?",
}


@pytest.mark.parametrize("spec", SUGGESTED)
def test_a_network_without_its_kind_gets_a_suggestion(spec: str) -> None:
    with pytest.raises(InputError, match=SUGGESTED[spec]):
        load_model(spec)


MISTAKES = {
    "a verb": (["explane", "photo.png"], "No such command 'explane'"),
    "a photo": (["explain", "phto.png"], "phto.png does not exist"),
    "an option": (["explain", "photo.png", "--preset", "fst"], "did you mean fast"),
    "data of a benchmark": (["bench", "--data", "nosuch", "--out", "out"], "nosuch"),
    "a photo of a gallery": (["gallery", "phto.png"], "phto.png does not exist"),
    "a report of nothing": (["report", "out"], "out"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_a_sentence_and_leaves_no_folder(case: str, folder, capsys) -> None:
    arguments, sentence = MISTAKES[case]
    assert main(arguments) == 2
    error = words(capsys.readouterr().err)
    assert sentence in error
    assert "Traceback" not in error
    assert not (folder / "out").exists()
    assert "--help" not in error or "explane --help" not in error


@pytest.mark.slow
def test_resume_with_nothing_to_do_says_so(folder, capsys) -> None:
    arguments = ["explain", "photo.png", "--model", "python:nets.py:small,size=32", "--sizes", "2,4", "--steps", "2"]
    assert main(arguments) == 0
    assert "wrote the results to out" in capsys.readouterr().out
    assert main([*arguments, "--resume"]) == 0
    out = capsys.readouterr().out
    assert "nothing to do: all results are already in out" in out
    assert "wrote" not in out


def test_brackets_of_an_extra_are_printed(capsys) -> None:
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'maskstack[models]'")):
        require("no_such_package_at_all", extra="models")
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert "pip install 'maskstack'" not in out


def test_the_help_names_the_default_of_stack_and_every_setting(capsys) -> None:
    assert main(["explain", "--help"]) == 0
    help_text = words(capsys.readouterr().out.replace("│", " "))
    for option in ("--stack", "--removal", "--removal-every", "--speed"):
        assert option in help_text
    assert re.search(r"--stack .{0,400}?default: \(?log_odds", help_text)


def loaded() -> LoadedModel:
    names = ("heron", "vulture", "kite", "owl", 'a "b", <c> [d]')
    return LoadedModel(net(5), Preprocess(size=(24, 24)), names, (24, 24), (0.0,) * 3, (1.0,) * 3, "own", "own")


def test_names_and_pictures_are_taken_in_python(folder) -> None:
    mdm = MDM(loaded(), **QUICK)
    found = mdm(Image.open("photo.png"), "vulture")
    assert (found.target, found.target_name) == ((1,), ("vulture",))
    assert mdm(["photo.png", "photo.png"], ["owl", 'a "b", <c> [d]']).target == (3, 4)
    with pytest.raises(InputError, match="did you mean vulture"):
        mdm("photo.png", "vultur")


def test_a_result_is_one_line_and_its_shares_are_shares() -> None:
    found = explain(net(5), IMAGES, 1)
    assert len(repr(found).splitlines()) == 1
    assert "tensor(" not in repr(found)
    for row in range(2):
        sentence = found.trust.verdict(row).sentence
        assert all(-1 <= int(share) <= 1000 for share in re.findall(r"(-?\d+)%", sentence)), sentence


@pytest.mark.slow
def test_company_changes_no_map() -> None:
    images = torch.cat([IMAGES, IMAGES.flip(-1), IMAGES.flip(-2)])
    together = explain(net(5), images, 1).saliency
    alone = torch.cat([explain(net(5), image[None], 1).saliency for image in images])
    torch.testing.assert_close(together, alone, atol=1e-3, rtol=0)


def test_the_projects_files() -> None:
    for file in (
        "CITATION.cff",
        "CONTRIBUTING.md",
        "SECURITY.md",
        ".pre-commit-config.yaml",
        ".github/workflows/ci.yml",
    ):
        assert (ROOT / file).is_file(), file
    assert list((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"Homepage", "Issues", "Changelog"} <= set(project["urls"])
    assert "all" in project["optional-dependencies"]
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    assert "GPL" in next(line for line in lines if '"quantus>' in line)
    assert "download.pytorch.org/whl/cpu" in (ROOT / "README.md").read_text(encoding="utf-8")
