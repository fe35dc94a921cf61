"""An explanation is the same after saving and loading, gives its numbers as JSON and draws itself."""

import dataclasses
import json
import sys

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import nn

from maskstack import MDM, Explanation, InputError, OutputError, Trust
from maskstack.draw.overlay import coloured
from maskstack.errors import UncheckedWarning

NAMES = ("cat", "dog", "bird")


@pytest.fixture(scope="module")
def explanation() -> Explanation:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 3)
    mdm = MDM(
        nn.Sequential(*layers),
        preset="single",
        class_names=NAMES,
        sizes=(2, (3, 5)),
        fill=("zero", "blur", "mean"),
        steps=4,
    )
    found = mdm(torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(1)), [2, 0])
    return dataclasses.replace(found, notes={"photo": "Kätzchen.jpg"})


def assert_equal(left: Explanation, right: Explanation) -> None:
    for field in dataclasses.fields(Explanation):
        a, b = getattr(left, field.name), getattr(right, field.name)
        if isinstance(a, torch.Tensor):
            torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
        elif field.name == "grids":
            assert len(a) == len(b)
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
        elif field.name == "trust":
            for name, values in b.tensors().items():
                torch.testing.assert_close(getattr(a, name), values, rtol=0, atol=0, equal_nan=True)
            assert a.problems == b.problems
        else:
            assert a == b, field.name


def strict_json(text: str) -> dict:
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_save_and_load_give_back_the_same(explanation, tmp_path) -> None:
    path = explanation.save(tmp_path / "new" / "map.safetensors")
    assert_equal(Explanation.load(path), explanation)
    assert sorted(file.name for file in path.parent.iterdir()) == ["map.json", "map.safetensors"]


def test_save_adds_the_suffix_and_needs_no_json_to_load(explanation, tmp_path) -> None:
    path = explanation.save(str(tmp_path / "photo.jpg"))
    assert path.name == "photo.jpg.safetensors"
    (tmp_path / "photo.jpg.json").unlink()
    assert_equal(Explanation.load(str(path)), explanation)


@pytest.mark.parametrize("number", [1, 2])
def test_a_file_of_an_older_format_loads_and_its_trust_is_not_measured(explanation, tmp_path, number: int) -> None:
    path = explanation.save(tmp_path / "map")
    with safetensors.safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys() if not name.startswith("trust.")}
        header = file.metadata()
    fields = json.loads(header["explanation"])
    fields["degenerate"] = fields.pop("problems")
    tensors |= {"trust.fill": torch.ones(2), "agreement": torch.ones(2)}
    if number == 1:
        fields["versions"]["passes"] = fields.pop("passes_run")
        tensors["score_hidden"] = tensors["score_hidden"].T.contiguous()  # each fill's scores, F x B
        del tensors["spread"], tensors["agreement"], tensors["opening"]
    old = {**header, "format": f"maskstack-explanation-{number}", "explanation": json.dumps(fields)}
    del old["digest"]
    safetensors.torch.save_file(tensors, path, old)
    with pytest.warns(UncheckedWarning, match="has no digest"):
        loaded = Explanation.load(path)
    not_measured = Trust.not_measured(explanation.trust.problems)
    assert_equal(loaded, dataclasses.replace(explanation, trust=not_measured))
    assert loaded.passes_run
    assert "passes" not in loaded.versions


def test_an_explanation_without_a_class_comes_back_too(explanation, tmp_path) -> None:
    classless = dataclasses.replace(explanation, target=None, target_name=None)
    assert_equal(Explanation.load(classless.save(tmp_path / "map")), classless)


def test_maps_that_share_memory_or_are_views_are_saved(explanation, tmp_path) -> None:
    shared = dataclasses.replace(explanation, saliency=explanation.stack, masks=explanation.masks.expand(2, -1, -1, -1))
    transposed = dataclasses.replace(explanation, stack=explanation.stack.mT.contiguous().mT)
    for index, each in enumerate((shared, transposed)):
        assert_equal(Explanation.load(each.save(tmp_path / f"map{index}")), each)


def test_the_json_beside_can_be_read_by_anyone(explanation, tmp_path) -> None:
    path = explanation.save(tmp_path / "map")
    read = strict_json(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert read["images"] == explanation.summary()
    assert read["settings"] == explanation.settings
    assert read["notes"] == {"photo": "Kätzchen.jpg"}
    assert [image["target_name"] for image in read["images"]] == ["bird", "cat"]


def test_a_failed_image_leaves_no_nan_in_the_json(explanation, tmp_path) -> None:
    under = explanation.score_under_stack.clone()
    under[1] = torch.nan
    masks = explanation.score_under_masks.clone()
    masks[1, 0] = torch.inf
    failed = dataclasses.replace(explanation, score_under_stack=under, score_under_masks=masks)
    path = failed.save(tmp_path / "map")
    images = strict_json(path.with_suffix(".json").read_text())["images"]
    assert images[1]["score_under_stack"] is None
    assert images[1]["score_under_masks"] == [None, masks[1, 1].item()]
    assert images[0] == explanation.summary()[0]
    assert_equal(Explanation.load(path), failed)


def test_a_disk_that_refuses_is_an_output_error(explanation, tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        explanation.save(tmp_path / "file" / "map")


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_an_input_error(explanation, tmp_path, kept: float) -> None:
    path = explanation.save(tmp_path / "map")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(InputError, match=r"map\.safetensors is damaged or not a safetensors file"):
        Explanation.load(path)


def test_files_of_other_programs_are_an_input_error(explanation, tmp_path) -> None:
    weights = tmp_path / "weights.safetensors"
    safetensors.torch.save_file({"layer.weight": torch.ones(2, 2)}, weights)
    with pytest.raises(InputError, match="is not an explanation file that this version can read"):
        Explanation.load(weights)
    with pytest.raises(InputError, match="there is no file"):
        Explanation.load(tmp_path / "nothing.safetensors")
    explanation.save(tmp_path / "map.st")
    with pytest.raises(InputError, match=r"there is no file .*map\.st; give .*map\.st\.safetensors$"):
        Explanation.load(tmp_path / "map.st")
    with pytest.raises(InputError, match="there is no file"):
        Explanation.load(tmp_path)


def rewrite(path, *, lost: str = "", **header: str) -> None:
    """Take a tensor out of a saved explanation, or change its header."""
    with safetensors.safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys() if name != lost}
        header = file.metadata() | header
    safetensors.torch.save_file(tensors, path, header)


@pytest.mark.parametrize("lost", ["saliency", "masks", "grid.1", "trust.kept"])
def test_a_file_that_lacks_a_part_is_an_input_error(explanation, tmp_path, lost: str) -> None:
    path = explanation.save(tmp_path / "map")
    rewrite(path, lost=lost)
    with pytest.raises(InputError, match=f"lacks parts of an explanation: .*{lost}|does not fit its digest"):
        Explanation.load(path)


@pytest.mark.parametrize("fields", ["", "[]", "{", "{}"])
def test_a_damaged_header_is_an_input_error(explanation, tmp_path, fields: str) -> None:
    path = explanation.save(tmp_path / "map")
    rewrite(path, explanation=fields)
    with pytest.raises(InputError, match="lacks parts of an explanation"):
        Explanation.load(path)


def test_selecting_rows_gives_batches_of_one(explanation) -> None:
    one = explanation.select(1)
    assert len(one) == 1
    assert len(explanation) == 2
    assert one.target_name == ("cat",)
    assert one.score_hidden.shape == (1, 3)
    assert torch.equal(one.score_hidden, explanation.score_hidden[1:])
    assert [grid.shape for grid in one.grids] == [(1, 2, 2), (1, 3, 5)]
    assert one.summary() == [explanation.summary()[1]]
    assert len(one.trust) == 1
    assert one.trust.verdict(0) == explanation.trust.verdict(1)
    for row in (-1, 2):
        with pytest.raises(InputError, match=f"image {row} is out of range; the explanation holds 2"):
            explanation.select(row)


def test_areas_are_the_open_shares(explanation) -> None:
    for row in range(2):
        assert explanation.area[row].item() == pytest.approx(explanation.stack[row].numpy().mean())
        expected = explanation.masks[row].numpy().mean(axis=(1, 2))
        np.testing.assert_allclose(explanation.area_per_size[row].numpy(), expected, rtol=1e-5)
    assert explanation.seed == explanation.settings["seed"]
    assert dataclasses.replace(explanation, settings={}).seed is None


def test_plot_shows_the_row_asked_for(explanation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["maskstack.draw.overlay"], "LEAST_SIDE", 1)  # so that the pixels can be compared
    photo = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    figure = explanation.plot(photo, row=1, grids=True)
    panels = {image.get_label(): image.get_array()[..., :3] for image in figure.axes[0].images}
    np.testing.assert_array_equal(panels["3 x 5 cells"], coloured(explanation.masks[1, 1].numpy(), "magma"))
    np.testing.assert_array_equal(panels["map"], coloured(explanation.saliency[1, 0].numpy(), "magma"))
    np.testing.assert_array_equal(panels["photo"], photo)
    assert any(text.get_text().startswith("cat ") for text in figure.axes[0].texts)


def test_a_list_of_photos_cannot_be_drawn_on(explanation) -> None:
    photos = [Image.new("RGB", size) for size in ((24, 20), (30, 20))]
    for draw in (explanation.plot, explanation.overlay):
        with pytest.raises(
            InputError, match="a picture shows one photo, not a list of 2; give one, with its index as row="
        ):
            draw(photos)
