"""The lines of a recipe are Python, whatever a photo, a network or a class is called, and make what they say."""

from __future__ import annotations

import ast
import dataclasses
import html
from pathlib import Path

import pytest
import torch
from PIL import Image

from maskstack import MDM, Explanation, load_model
from maskstack.errors import InputError
from maskstack.explainers.table import make_explainer
from maskstack.models import LoadedModel
from maskstack.web import downloads, results
from maskstack.web.recipe import recipe
from maskstack.web.saved import NETWORK, open_saved
from maskstack.web.sessions import PredictedPhoto, Session

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


@pytest.fixture
def spec(tmp_path, monkeypatch) -> str:
    """A small network's spec; the photo ``it's.png`` is in the folder."""
    (tmp_path / "net.py").write_text(NET)
    values = torch.randint(0, 256, (40, 50, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    Image.fromarray(values.numpy()).save(tmp_path / "it's.png")
    monkeypatch.chdir(tmp_path)
    return f"python:{tmp_path / 'net.py'}:make,size=32"


@pytest.mark.slow
def test_the_lines_run_and_explain_the_class_for_as_many_steps(tmp_path, spec) -> None:
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
    live = mdm("it's.png", 2, progress=lambda state: state.step < 3)
    assert torch.equal(found.saliency, live.saliency), "the lines make the map of the stopped search again"
    with Image.open(tmp_path / "figure.png") as figure:
        assert figure.width > 100


def opened(found: Explanation, net: LoadedModel, folder: Path) -> tuple[PredictedPhoto, Explanation]:
    """What the page shows of the file of an explanation."""
    path = found.save(folder / "saved.safetensors")

    def get(name: str) -> LoadedModel:
        if name != "mine":
            raise InputError("this network is not offered here; choose one from the list")
        return net

    return open_saved(path, path.name, "mine", get, None)


def lines_of(predicted: PredictedPhoto, found: Explanation) -> str:
    page = downloads.file_panel("python", predicted, found, Session(), 0.35)
    return html.unescape(page.partition("<pre")[2].partition(">")[2].partition("</pre>")[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "written"),
    [
        ("mdm-fast:steps=4:seed=7:sizes=(3, 8)", "(net, preset='default', sizes=[[3, 3], [8, 8]], members=2, steps=4,"),
        ("mdm:steps=2:sizes=4:objective='logit'", "objective='logit')"),
        ("hdm:steps=4:modules=2", "make_explainer('hdm', net, modules=2, steps=4)"),
        ("gradcam", "make_explainer('gradcam', net)("),
        ("gradcam:objective=probability", "objective='probability')"),
        ("rise:masks=8:seed=3", "make_explainer('rise', net, masks=8, seed=3)("),
        ("ig:steps=3:objective=margin", "make_explainer('ig', net, steps=3, objective='margin')("),
    ],
)
def test_the_lines_of_a_file_make_its_map_by_its_method_and_settings(spec, tmp_path, method, written) -> None:
    pytest.importorskip("pytorch_grad_cam" if "cam" in method else "captum" if method[:2] == "ig" else "torch")
    net = load_model(spec)
    made = make_explainer(method, net)("it's.png", 2)
    predicted, found = opened(dataclasses.replace(made, notes={"photo": "it's.png"}), net, tmp_path)
    text = lines_of(predicted, found)
    assert written in text
    names: dict[str, object] = {}
    exec(compile(text, "recipe", "exec"), names)
    assert torch.allclose(names["explanation"].saliency, made.saliency, atol=1e-6)
    # An earlier explanation of the visit has no network any more.
    assert lines_of(predicted.without_network(), found) == text


def test_the_lines_of_a_file_stop_where_its_search_was_stopped(spec, tmp_path) -> None:
    net = load_model(spec)
    made = MDM(net, sizes=4, steps=5)("it's.png", 2, progress=lambda state: state.step < 3)
    assert "2, progress=lambda state: state.step < 3)" in lines_of(*opened(made, net, tmp_path))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"method": "mine"}, "maskstack has no method 'mine'"),
        ({"objective": "my_score"}, "a file cannot hold its objective, my_score"),
        ({"target": None, "target_name": None}, "a file cannot hold its objective"),
        ({"settings": {"steps=print(1), x": 1}}, "a file cannot hold all of its settings"),
        ({"settings": {"fill": ["given"]}}, "a file cannot hold all of its settings"),
        ({"notes": {"model": "timm:resnet18"}}, "its network is not the one on the page"),
        ({"notes": {NETWORK: "another"}}, "its network is not the one on the page"),
    ],
)
def test_a_file_whose_map_a_few_lines_cannot_make_has_none_and_says_why(spec, tmp_path, changes, reason) -> None:
    net = load_model(spec)
    made = dataclasses.replace(MDM(net, sizes=4, steps=1)("it's.png", 2), **changes)
    with pytest.raises(InputError, match=reason):
        lines_of(*opened(made, net, tmp_path))


def test_only_probabilities_are_in_percent_and_what_is_not_known_is_not_said(spec, tmp_path) -> None:
    net = load_model(spec)
    for method, said in (("mdm:steps=2", True), ("mdm:steps=2:objective=logit", True), ("rise:masks=4", False)):
        predicted, found = opened(make_explainer(method, net)("it's.png", 2), net, tmp_path)
        words = html.unescape(results.words_panel(predicted, found, Session()))
        assert ("Showing" in words) is said
        assert "nan" not in words
        before = float(found.score_before[0])
        assert (f", {before:.3g}<" if "logit" in method else f", {before:.0%}<") in words
