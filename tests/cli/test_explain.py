"""``maskstack explain`` as a person types it, with the real bundled network and real photographs."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file

from maskstack import Explanation
from maskstack.cli.main import main

pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'demo' is not installed")
data = pytest.importorskip("skimage.data", reason="the extra 'demo' is not installed")

pytestmark = pytest.mark.usefixtures("small_bundled")

QUICK = ["--preset", "single", "--steps", "3", "--sizes", "4,7"]


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("photos") / "coffee.jpg"
    Image.fromarray(data.coffee()).save(file)
    return file


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_says_what_it_sees_and_costs_and_writes_everything(photo, tmp_path, capsys) -> None:
    code, out, err = run(capsys, "explain", photo, "--out", tmp_path, *QUICK)
    assert code == 0, err
    assert "espresso 9" in out
    assert re.search(r"1 map: at most \d+ forward and 3 backward passes", out)
    verdict = re.search(r"^(reliable|doubtful|do not use): ", out, flags=re.MULTILINE)
    assert out.index("backward passes") < verdict.start()
    names = {file.name for file in tmp_path.iterdir() if file.name != ".lock"}
    assert names == {"coffee.overlay.png", "coffee.figure.png", "coffee.safetensors", "coffee.json"}
    with Image.open(tmp_path / "coffee.overlay.png") as overlay:
        assert overlay.size == (600, 400), "the photo's own size"
    found = Explanation.load(tmp_path / "coffee.safetensors")
    assert found.target_name == ("espresso",)
    assert (found.notes["model"], found.notes["photo"]) == ("bundled", "coffee.jpg")
    assert found.notes["photo_sha256"] == hashlib.sha256(photo.read_bytes()).hexdigest()
    assert json.loads((tmp_path / "coffee.json").read_text())["images"][0]["target"] == 967


@pytest.mark.slow
def test_json_is_one_document_and_nothing_else(photo, tmp_path, capsys) -> None:
    code, out, err = run(capsys, "explain", photo, "--out", tmp_path, *QUICK, "--json", "--target", "cup")
    assert code == 0, err
    document = json.loads(out)
    assert err == ""
    assert document["predictions"][str(photo)][0]["class"] == "espresso"
    (result,) = document["results"]
    assert result["target_name"] == "cup"
    assert all(Path(file).is_file() for file in result["files"].values())


@pytest.mark.slow
def test_the_verdict_is_one_line_and_more_is_measured_on_request(photo, tmp_path, capsys) -> None:
    arguments = ["explain", photo, "--out", tmp_path, *QUICK, "--resume"]
    _, out, _ = run(capsys, *arguments)
    assert len(re.findall(r"^(reliable|doubtful|do not use): .+\.$", out, flags=re.MULTILINE)) == 1
    code, out, err = run(capsys, *arguments, "--trust-seeds", 2, "--trust-randomized")
    assert code == 0, err
    assert re.search(r"1 map: at most \d+ forward and 9 backward passes", out), (
        "what was measured lacks what is asked for"
    )
    assert Explanation.load(tmp_path / "coffee.safetensors").trust.seeds.shape == (1, 1)
    _, out, _ = run(capsys, *arguments, "--trust-seeds", 2, "--json")
    assert json.loads(out)["cost"]["already_done"] == 1
    read = json.loads((tmp_path / "coffee.json").read_text())["images"][0]["trust"]
    assert read["seeds"] > 0.5
    assert read["word"] in ("reliable", "doubtful", "do not use")


@pytest.mark.slow
def test_a_map_not_to_be_used_is_called_so(tmp_path, capsys) -> None:
    file = tmp_path / "grey.png"
    Image.new("RGB", (224, 224), "grey").save(file)
    code, out, err = run(capsys, "explain", file, "--out", tmp_path / "out", *QUICK, "--model", "bundled,size=224")
    assert code == 0, err
    assert "do not use: A blank image scores as high, so no region explains the score." in out


@pytest.mark.slow
def test_several_targets_get_files_of_their_own(photo, tmp_path, capsys) -> None:
    code, _, err = run(capsys, "explain", photo, "--out", tmp_path, *QUICK, "--target", "top2")
    assert code == 0, err
    names = sorted(file.name for file in tmp_path.glob("*.overlay.png"))
    assert names == ["coffee.1-espresso.overlay.png", "coffee.2-cup.overlay.png"]


@pytest.mark.slow
def test_photos_of_one_name_do_not_overwrite_each_other(photo, tmp_path, capsys) -> None:
    twin = tmp_path / "twin" / "coffee.jpg"
    twin.parent.mkdir()
    shutil.copy(photo, twin)
    code, _, err = run(capsys, "explain", photo, twin, "--out", tmp_path / "out", *QUICK)
    assert code == 0, err
    assert sorted(file.name for file in (tmp_path / "out").glob("*.overlay.png")) == [
        "coffee-2.overlay.png",
        "coffee.overlay.png",
    ]


@pytest.mark.slow
def test_resume_skips_what_is_finished_and_fits(photo, tmp_path, capsys) -> None:
    arguments = ["explain", photo, "--out", tmp_path, *QUICK, "--resume"]
    run(capsys, *arguments)
    before = (tmp_path / "coffee.safetensors").stat().st_mtime_ns
    _, out, _ = run(capsys, *arguments)
    assert "0 maps, 1 already done" in out
    assert (tmp_path / "coffee.safetensors").stat().st_mtime_ns == before
    _, out, _ = run(capsys, *arguments, "--seed", "1")
    assert "1 map:" in out, "other settings are other work"
    (tmp_path / "coffee.safetensors").write_bytes(b"broken")
    _, out, _ = run(capsys, *arguments)
    assert "1 map:" in out, "a damaged file is no finished work"


@pytest.mark.slow
def test_resume_does_not_take_another_photo_or_other_weights_for_the_same(photo, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    layers = "nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 3)"
    Path("small.py").write_text(f"from torch import nn\n\ndef make():\n    return nn.Sequential({layers})\n")
    save_file({"2.weight": torch.randn(3, 12), "2.bias": torch.zeros(3)}, "weights.safetensors")
    model = "python:small.py:make,size=32,weights=weights.safetensors"
    again = ["--out", "out", "--model", model, "--target", 1, *QUICK, "--resume"]
    assert run(capsys, "explain", photo, *again)[0] == 0
    assert "0 maps, 1 already done" in run(capsys, "explain", photo, *again)[1]
    Path("other").mkdir()
    ImageOps.mirror(Image.open(photo)).save(Path("other", photo.name))
    _, out, err = run(capsys, "explain", Path("other", photo.name), *again)
    assert "1 map:" in out, "another photo of the same name"
    assert "out/coffee.safetensors has the map of another photo named coffee.jpg; it will be replaced" in err
    assert "1 map:" in run(capsys, "explain", photo, *again)[1]
    save_file({"2.weight": torch.randn(3, 12), "2.bias": torch.zeros(3)}, "weights.safetensors")
    assert "1 map:" in run(capsys, "explain", photo, *again)[1], "other weights in the same file"


@pytest.mark.slow
def test_resume_knows_results_whose_sizes_were_fitted_to_a_small_input(photo, tmp_path, capsys) -> None:
    timm = pytest.importorskip("timm", reason="the extra 'models' is not installed")
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.safetensors")
    model = f"timm:test_resnet,weights={tmp_path / 'weights.safetensors'}"
    arguments = ["explain", photo, "--out", tmp_path, "--steps", "1", "--model", model, "--target", "1"]
    run(capsys, *arguments)
    assert (112, 112) not in map(tuple, Explanation.load(tmp_path / "coffee.safetensors").settings["sizes"])
    _, out, _ = run(capsys, *arguments, "--resume")
    assert "0 maps, 1 already done" in out


@pytest.mark.slow
def test_random_weights_are_said(photo, tmp_path, capsys) -> None:
    pytest.importorskip("timm", reason="the extra 'models' is not installed")
    code, _, err = run(capsys, "explain", photo, "--out", tmp_path, *QUICK, "--model", "timm:test_resnet")
    assert code == 0, err
    assert "random weights" in err


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "I;16", "P"])
@pytest.mark.slow
def test_photos_of_every_mode_work(mode, photo, tmp_path, capsys) -> None:
    picture = Image.fromarray(data.camera().astype("uint16") * 257 if mode == "I;16" else data.coffee())
    file = tmp_path / f"photo.{'tif' if mode == 'CMYK' else 'png'}"
    (picture if mode == "I;16" else picture.convert(mode)).save(file)
    code, _, err = run(capsys, "explain", file, "--out", tmp_path / "out", "--steps", 1, "--sizes", "4")
    assert code == 0, err


@pytest.mark.slow
def test_exif_orientation_is_honoured(photo, tmp_path, capsys) -> None:
    turned = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(photo).rotate(90, expand=True).save(turned, exif=exif, quality=95)
    _, out, _ = run(capsys, "explain", turned, "--out", tmp_path, *QUICK, "--json")
    upright = json.loads(out)["predictions"][str(turned)][0]
    assert upright["class"] == "espresso"
    assert upright["probability"] > 0.85


def test_models_lists_every_kind(capsys) -> None:
    code, out, _ = run(capsys, "models", "--json")
    kinds = {entry["kind"]: entry["status"] for entry in json.loads(out)}
    assert code == 0
    assert {"bundled", "timm", "torchvision", "hf", "onnx", "exported", "python"} <= set(kinds)
    assert kinds["bundled"] == "ready"
    assert run(capsys, "models")[0] == 0


@pytest.mark.parametrize("kind", ["gif", "webp"])
@pytest.mark.slow
def test_the_masks_can_be_watched_being_learned(kind, photo, tmp_path, capsys) -> None:
    arguments = ["explain", photo, "--out", tmp_path, "--steps", "5", "--sizes", "4,7", "--resume"]
    assert run(capsys, *arguments)[0] == 0
    assert not list(tmp_path.glob("*.masks.*"))
    code, out, err = run(capsys, *arguments, "--animate", kind)
    assert code == 0, err
    assert "1 map: at most" in out, "what is finished lacks its animation"
    with Image.open(tmp_path / f"coffee.masks.{kind}") as film:
        assert film.format.lower() == kind
        assert film.n_frames == 5
        assert film.size == (600, 404)
    assert "1 already done" in run(capsys, *arguments, "--animate", kind)[1]


def test_an_animation_of_no_kind_is_refused_at_once(photo, tmp_path, capsys) -> None:
    code, _, err = run(capsys, "explain", photo, "--out", tmp_path / "out", "--animate", "mp4")
    assert code == 2
    assert "--animate mp4 is not an animation format; give gif or webp" in " ".join(err.split())
    assert not (tmp_path / "out").exists()
