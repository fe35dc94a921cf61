"""``maskstack prototypes`` as a person types it, on real photographs with a real pretrained backbone."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.prototypes.conftest import Silent, as_toml, config, crops, write_folders, write_table

from maskstack import Explanation
from maskstack.cli.main import main
from maskstack.prototypes.checkpoint import load

pytestmark = pytest.mark.slow

pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'demo' is not installed")
pytest.importorskip("lightning", reason="the extra 'prototypes' is not installed")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Data, a photo and finished trainings of both networks; only read."""
    from maskstack.prototypes.run import train

    folder = tmp_path_factory.mktemp("place")
    data, labelled = write_folders(folder / "data"), write_table(folder / "labelled")
    train(config(data), folder / "run", Silent())
    train(config(data, training={"keep_sources": False}), folder / "private", Silent())
    train(config(labelled, "xprotonet", data={"labels": ["furry", "brown"]}), folder / "labels", Silent())
    next(crops("cat", 1, seed=9)).save(folder / "photo.png")
    (folder / "broken.png").write_bytes((folder / "photo.png").read_bytes()[:400])
    (folder / "net.toml").write_text(as_toml(config("data")))
    return folder


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main(["prototypes", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_training_says_what_it_does_and_what_comes_next(place, tmp_path, capsys) -> None:
    code, out, err = run(capsys, "train", place / "net.toml", "--out", tmp_path / "run")
    assert code == 0, err
    assert err == ""
    assert "3 classes: 12 images to train on, 6 to validate on, 12 to test on" in out
    assert re.search(r"0-warm: accuracy \d\.\d{3} on validation", out)
    assert re.search(r"test: accuracy \d\.\d{3} on 12 images", out)
    assert "6 prototypes, " in out
    assert f"maskstack prototypes explain {tmp_path / 'run' / 'checkpoint'} IMAGE" in out
    report = json.loads((tmp_path / "run" / "checkpoint" / "prototypes.json").read_text())["report"]
    assert f"test: accuracy {report['test']['mean']:.3f}" in out


def test_training_on_labels_says_the_auroc_of_each(place, tmp_path, capsys) -> None:
    made = config("nowhere", "xprotonet", data={"labels": ["furry", "brown"], "group": "patient"})
    (tmp_path / "net.toml").write_text(as_toml(made))
    arguments = ("--data", place / "labelled", "--out", tmp_path / "run")
    code, out, err = run(capsys, "train", tmp_path / "net.toml", *arguments)
    assert code == 0, err
    assert re.search(r"test: mean AUROC \d\.\d{3} on 12 images", out)
    assert re.search(r"\n  furry: AUROC \d\.\d{3}\n  brown: AUROC \d\.\d{3}\n", out)


def test_ctrl_c_ends_with_a_sentence_and_130(place, tmp_path) -> None:
    stages = [{"name": "joint", "epochs": 2000}, {"name": "push"}]
    (tmp_path / "net.toml").write_text(as_toml(config(place / "data", training={"stages": stages})))
    program = "from maskstack.cli.main import run; run()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "prototypes", "train", "net.toml", "--out", "run"],
        cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    patience = time.monotonic() + 120
    while not (tmp_path / "run/stages/0-joint/last.ckpt").exists() and process.poll() is None:
        assert time.monotonic() < patience
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    (line,) = err.splitlines()
    assert line.startswith("maskstack: stopped; finished results are kept")
    assert "--resume" not in line, "prototypes train has no --resume"


@pytest.mark.parametrize("network", ["run", "labels"])
def test_an_explanation_is_a_page_maps_and_numbers_that_add_up(place, tmp_path, capsys, network) -> None:
    arguments = ("explain", place / network, place / "photo.png", "--method", "native", "--top", 99, "--out", tmp_path)
    code, out, err = run(capsys, *arguments, "--json")
    assert code == 0, err
    (result,) = json.loads(out)["results"]
    prototypes = load(place / network)
    image = prototypes.model.preprocess(Image.open(place / "photo.png").convert("RGB"))[None]
    with torch.no_grad():
        logits, activations = prototypes.network(image)[0], prototypes.network.activations(image)[0]
        weights = prototypes.network.weights.detach()
    label = int(logits.argmax())
    assert result["class"] == prototypes.class_names[label]
    assert result["logit"] == pytest.approx(float(logits[label]), abs=1e-4)
    assert {line["prototype"] for line in result["prototypes"]} == set(prototypes.prototypes_of(label))
    added = [line["contribution"] for line in result["prototypes"]]
    assert added == sorted(added, reverse=True)
    for line in result["prototypes"]:
        assert line["contribution"] == pytest.approx(line["similarity"] * line["weight"])
        assert line["similarity"] == pytest.approx(float(activations[line["prototype"]]), abs=1e-4)
        assert line["source"] == prototypes.sources[line["prototype"]].image
    # ProtoPNet's other prototypes speak against the class; XProtoNet has a bias.
    others = [n for n in range(len(weights)) if n not in prototypes.prototypes_of(label)]
    rest = sum(float(activations[n] * weights[n, label]) for n in others)
    bias = float(prototypes.network.bias[label].detach()) if network == "labels" else 0.0
    assert sum(added) + rest + bias == pytest.approx(result["logit"], abs=1e-3)
    maps = Explanation.load(result["explanation"])
    assert maps.saliency.shape == (len(added), 1, 64, 64)
    with Image.open(result["page"]) as page:
        assert page.width > 1000
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".json", ".png", ".safetensors"]


def test_the_console_shows_a_row_for_each_prototype(place, tmp_path, capsys) -> None:
    code, out, err = run(
        capsys, "explain", place / "run", place / "photo.png", "--class", "person", "--top", 2, "--out", tmp_path,
        "--method", "mdm:steps=2",
    )  # fmt: skip
    assert code == 0, err
    assert "photo.png: person, " in out.replace("\n", "")
    rows = re.findall(r"^(\d+) +(-?\d+\.\d\d) +(-?\d+\.\d\d) +(-?\d+\.\d\d) +(\S+)", out, re.MULTILINE)
    assert len(rows) == 2
    for _, similarity, weight, adds, source in rows:
        assert float(adds) == pytest.approx(float(similarity) * float(weight), abs=0.05)
        assert source.startswith("train/person/")
    assert (tmp_path / "photo.person.prototypes.png").is_file()


def test_the_verdict_on_each_map_is_printed_and_in_the_json(place, tmp_path, capsys) -> None:
    arguments = ("explain", place / "run", place / "photo.png", "--top", 1, "--out", tmp_path, "--method")
    code, out, err = run(capsys, *arguments, "mdm:steps=2", "--json")
    assert code == 0, err
    (line,) = json.loads(out)["results"][0]["prototypes"]
    judged = [(line[f"{where}verdict"], line[f"{where}problem"]) for where in ("", "source_")]
    assert all(verdict["word"] in ("reliable", "doubtful", "do not use") for verdict, _ in judged)
    code, out, err = run(capsys, *arguments, "mdm:steps=2")
    assert code == 0, err
    for verdict, problem in judged:
        said = f": {verdict['word']}: {verdict['sentence']}"
        assert (said in out) == (verdict["word"] != "reliable" and not problem)
    code, out, err = run(capsys, *arguments, "native", "--json")
    assert json.loads(out)["results"][0]["prototypes"][0]["verdict"] is None


def test_images_of_one_name_do_not_overwrite_each_other(place, tmp_path, capsys) -> None:
    for name in ("a/cat.png", "b/cat-2.png", "c/cat.png"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(place / "photo.png", tmp_path / name)
    images = [tmp_path / name for name in ("a/cat.png", "b/cat-2.png", "c/cat.png")]
    arguments = ("--method", "native", "--out", tmp_path / "out", "--json")
    code, out, err = run(capsys, "explain", place / "run", *images, *arguments)
    assert code == 0, err
    pages = [result["page"] for result in json.loads(out)["results"]]
    assert len(set(pages)) == 3


@pytest.mark.parametrize("verb", ["explain", "gallery"])
def test_pictures_that_were_not_kept_come_from_the_data(place, tmp_path, capsys, monkeypatch, verb) -> None:
    module, page_texts = sys.modules["maskstack.cli.prototypes.explain"], []
    real = module._save
    monkeypatch.setattr(
        module, "_save", lambda figure, path: page_texts.append([t.get_text() for a in figure.axes for t in a.texts]) or
        real(figure, path),
    )  # fmt: skip
    image = [place / "photo.png"] if verb == "explain" else []
    for number, more in enumerate(([], ["--data", place / "data"])):
        arguments = (verb, place / "private", *image, "--method", "native", "--out", tmp_path / str(number), *more)
        code, out, err = run(capsys, *arguments)
        assert code == 0, err
        assert ("6 of 6 prototypes have no picture here; give the folder" in out) == (not more)
    half = len(page_texts) // 2
    assert all("picture not available" in texts for texts in page_texts[:half])
    assert not any("picture not available" in texts for texts in page_texts[half:])


def test_a_gallery_of_each_class_or_of_one(place, tmp_path, capsys) -> None:
    code, out, err = run(capsys, "gallery", place / "run", "--method", "native", "--out", tmp_path / "all")
    assert code == 0, err
    assert "cat: 2 prototypes, " in out
    assert {file.name for file in (tmp_path / "all").iterdir()} == {
        "cat.gallery.png", "coffee.gallery.png", "person.gallery.png",
    }  # fmt: skip
    arguments = ("--class", "1", "--method", "native", "--out", tmp_path / "one")
    code, _, err = run(capsys, "gallery", place / "run", *arguments)
    assert code == 0, err
    assert [file.name for file in (tmp_path / "one").iterdir()] == ["coffee.gallery.png"]


def test_a_bench_prints_its_table_and_goes_on(place, tmp_path, capsys) -> None:
    arguments = ("bench", place / "run", "--data", place / "data", "--out", tmp_path, "--per-class", 1)
    code, out, err = run(capsys, *arguments, "--images", 1, "--methods", "native,random")
    assert code == 0, err
    assert "6 maps to make and measure: at most" in out
    assert "insertion_anew ↑" in out
    assert "No test was made: it needs mdm and another method." in out
    lines = (tmp_path / "standings.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 6
    code, out, err = run(capsys, *arguments, "--images", 1, "--methods", "native,random,centre")
    assert code == 0, err
    assert "3 maps to make and measure, 6 already done" in out
    variant = "mdm:sizes=4:steps=2:members=1"
    code, out, err = run(capsys, *arguments, "--images", 1, "--methods", f"native,random,centre,{variant}")
    assert code == 0, err
    assert f"* differs from {variant} (paired Wilcoxon test" in out


TRAIN, EXPLAIN = ["train", "net.toml"], ["explain", "run", "photo.png"]
CASES = {
    "no configuration": (["train", "none.toml"], "there is no configuration none.toml; check the path"),
    "a broken configuration": (["train", "photo.png"], "cannot be read as TOML"),
    "no data": ([*TRAIN, "--data", "nowhere"], "nowhere does not exist; check the path"),
    "data without splits": ([*TRAIN, "--data", "data/train"], "has no folder train for the split"),
    "an out of another training": (
        ["train", "net.toml", "--out", "labels"],
        "labels holds a run with kind='xprotonet', not 'protopnet'; choose another --out",
    ),
    "an out that is a file": ([*TRAIN, "--out", "photo.png/run"], "choose another --out"),
    "no checkpoint": (["explain", "data", "photo.png"], "data holds no checkpoint"),
    "a file of the checkpoint": (
        ["explain", "run/checkpoint/prototypes.json", "photo.png"],
        "is a file; give the folder",
    ),
    "training data that are missing": ([*EXPLAIN, "--data", "nowhere"], "--data nowhere is not a folder"),
    "training data of a gallery": (["gallery", "run", "--data", "nowhere"], "--data nowhere is not a folder"),
    "no image": (["explain", "run", "none.png"], "does not exist"),
    "a broken image": (["explain", "run", "broken.png"], "broken.png"),
    "one broken of two": ([*EXPLAIN, "broken.png"], "broken.png"),
    "an unknown class": ([*EXPLAIN, "--class", "cofee"], "did you mean coffee"),
    "a class out of range": ([*EXPLAIN, "--class", "3"], "the network has classes 0 to 2"),
    "an unknown method": ([*EXPLAIN, "--method", "nativ"], "did you mean native"),
    "an unknown option of a method": ([*EXPLAIN, "--method", "mdm:stps=3"], "did you mean steps"),
    "options of native": ([*EXPLAIN, "--method", "native:steps=3"], "native"),
    "no prototypes": ([*EXPLAIN, "--top", "0"], "'--top': Input should be"),
    "an unwritable out": ([*EXPLAIN, "--method", "native", "--out", "photo.png/x"], "cannot write"),
    "gallery of an unknown class": (["gallery", "run", "--class", "dog"], "dog"),
    "gallery by an unknown method": (["gallery", "run", "--method", "mmd"], "did you mean mdm"),
    "bench of no data": (["bench", "run", "--data", "nowhere", "--out", "b"], "nowhere does not exist"),
    "bench by an unknown method": (["bench", "run", "--data", "data", "--out", "b", "--methods", "x"], "'x'"),
    "bench of other data": (
        ["bench", "labels", "--data", "data", "--out", "b"],
        "no image of the network's classes (furry, brown); give data of these classes, or boxes.csv, as",
    ),
    "an unknown verb": (["pushh"], "No such command"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_gets_one_sentence_and_leaves_nothing(name, place, monkeypatch, capsys) -> None:
    monkeypatch.chdir(place)
    before = sorted(place.rglob("*"))
    arguments, says = CASES[name]
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert says in err
    (line,) = err.splitlines()
    assert line.startswith("maskstack: ")
    assert sorted(path for path in place.rglob("*") if path.name != ".lock") == [p for p in before if p.name != ".lock"]
