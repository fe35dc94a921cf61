"""The lines of a recipe are Python, whatever a photo, a network or a class is called, and make what they say."""

from __future__ import annotations

import ast

import pytest
import torch
from PIL import Image

from maskstack import MDM, Explanation
from maskstack.web.recipe import recipe

NASTY = [
    'it\'s "mine".png',
    "back\\slash.png",
    "two\nlines.png",
    "{braces}.png",
    "ümläut 猫.png",
    "a', __import__('os'))#",
]

NET = """
import torch
from torch import nn

def make():
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 4, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten())
    return nn.Sequential(body, nn.Linear(64, 3))
"""


def lines(**changes) -> str:
    given = {"spec": "bundled", "photo": "cat.jpg", "preset": "fast", "target": 282, "name": "tiger cat", **changes}
    return recipe(**given)


def calls(text: str) -> dict[str, ast.Call]:
    """The calls of a program by the name of what is called; of what a call returned, the outer one has none."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return {getattr(node.func, "attr", None) or getattr(node.func, "id", ""): node for node in nodes}


@pytest.mark.parametrize("nasty", NASTY)
@pytest.mark.parametrize("what", ["spec", "photo", "name"])
def test_whatever_something_is_called_the_lines_stay_the_same_program(what, nasty) -> None:
    made = calls(lines(**{what: nasty}))
    assert made.keys() == calls(lines()).keys()
    texts = {"spec": made["load_model"], "photo": made["plot"]}
    if what in texts:
        assert ast.literal_eval(texts[what].args[0]) == nasty


@pytest.mark.parametrize("newline", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028"], ids=ascii)
def test_a_class_name_of_two_lines_stays_a_remark(newline) -> None:
    text = lines(name=f"cat{newline}print('surprise')")
    assert "print" not in calls(text)
    assert "# cat print('surprise')" in text


def test_what_was_stopped_is_stopped_at_the_same_step() -> None:
    whole, stopped = (lines(stopped_after=steps) for steps in (None, 17))
    for text in (whole, stopped):
        assert {word.arg: ast.literal_eval(word.value) for word in calls(text)["MDM"].keywords} == {"preset": "fast"}
    assert "progress" not in whole
    assert "('cat.jpg', 282, progress=lambda state: state.step < 17)" in stopped


def test_the_lines_run_and_explain_the_class_for_as_many_steps(tmp_path, monkeypatch) -> None:
    (tmp_path / "net.py").write_text(NET)
    values = torch.randint(0, 256, (40, 50, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    Image.fromarray(values.numpy()).save(tmp_path / "it's.png")
    monkeypatch.chdir(tmp_path)
    spec = f"python:{tmp_path / 'net.py'}:make,size=32"
    names: dict[str, object] = {}
    text = lines(spec=spec, photo="it's.png", target=2, name="third\nclass", stopped_after=3).replace(
        "preset='fast'", "preset='fast', sizes=(3, 8)"
    )
    exec(compile(text, "recipe", "exec"), names)
    found = Explanation.load(tmp_path / "explanation.safetensors")
    assert found.target == (2,)
    assert found.steps.max() == 3
    assert torch.equal(found.saliency, names["explanation"].saliency)
    mdm = MDM(names["net"], preset="fast", sizes=(3, 8))
    live = mdm(names["images"], 2, progress=lambda state: state.step < 3)
    assert torch.equal(found.saliency, live.saliency), "the lines make the map of the stopped search again"
    with Image.open(tmp_path / "figure.png") as figure:
        assert figure.width > 100
