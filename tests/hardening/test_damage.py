"""A file that was damaged is refused in one sentence, or gives exactly what it held."""

from __future__ import annotations

import dataclasses
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tests.hardening.counts import tries
from tests.hardening.damage import damaged
from tests.small import network, photos

from maskstack import MDM, Explanation
from maskstack.errors import InputError, MaskstackError, UncheckedWarning
from maskstack.models.weights import read_weights
from maskstack.runs.rows import ResultRow
from maskstack.runs.store import Store
from maskstack.tensor_files import check_digest, read_tensors, write_tensors


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, tensors and NaN included."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one.nan_to_num(7.5), other.nan_to_num(7.5))
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def survive(path: Path, load: Callable[[Path], Any], count: int, *, seed: int = 0) -> dict[str, int]:
    """Load damaged versions of a file, and count how many were refused and how many gave what the file held."""
    whole = path.read_bytes()
    right = load(path)
    found = {"refused": 0, "unchanged": 0}
    for content in damaged(whole, count, seed=seed):
        path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UncheckedWarning)
                got = load(path)
        except MaskstackError as error:
            assert "\n" not in str(error).strip()
            found["refused"] += 1
        else:
            assert same(got, right), f"a damaged {path.name} was loaded as another value"
            found["unchanged"] += 1
    path.write_bytes(whole)
    return found


@pytest.fixture(scope="module")
def explanation() -> Explanation:
    return MDM(network(), preset="fast", sizes=(2, 4), steps=2)(photos(1, (16, 16)), 1)


@pytest.mark.slow
def test_explanations(explanation, tmp_path) -> None:
    path = explanation.save(tmp_path / "map")
    assert survive(path, Explanation.load, tries(80, 300))["refused"] > 0


@pytest.mark.parametrize("name", ["saliency", "stack", "masks", "spread"])
@pytest.mark.parametrize("value", [-0.5, 1.5, float("nan"), float("inf")])
def test_values_out_of_range_are_refused_also_with_a_digest(explanation, tmp_path, name, value) -> None:
    tensor = getattr(explanation, name).clone()
    tensor[..., 0, 0] = value
    sound = dataclasses.replace(explanation.trust, problems=(None,))
    changed = dataclasses.replace(explanation, **{name: tensor}, trust=sound)
    with pytest.raises(InputError, match=rf"{name} has values outside \[0, 1\]"):
        Explanation.load(changed.save(tmp_path / "map"))


def test_weights_that_this_package_wrote(tmp_path) -> None:
    write_tensors(tmp_path / "net.safetensors", network().state_dict(), {"format": "test"})
    survive(tmp_path / "net.safetensors", read_weights, tries(60, 150))


def test_weights_of_torch(tmp_path) -> None:
    torch.save(network().state_dict(), tmp_path / "net.pth")
    survive(tmp_path / "net.pth", read_weights, tries(60, 150))


def test_kept_maps(tmp_path) -> None:
    def load(path: Path) -> dict[str, torch.Tensor]:
        tensors, about = read_tensors(path)
        check_digest(path, tensors, about, required=True)
        return tensors

    write_tensors(tmp_path / "map.safetensors", {"saliency": torch.rand(9, 9).half()}, {"image": "a"})
    survive(tmp_path / "map.safetensors", load, tries(60, 100))


def row(image: str, value: float) -> ResultRow:
    """A row with all that a row can have."""
    return ResultRow("net", "mdm", image, "faith", "insertion", value, '{"a": 1}', 3, (0.25, value), 4, 5, 0.5)


@pytest.mark.slow
def test_shards(tmp_path) -> None:
    pytest.importorskip("pyarrow", reason="the extra 'bench' is not installed")
    run = tmp_path / "run"
    shard = Store.open(run).write([row(f"{number}.png", number / 7) for number in range(5)])

    def load(path: Path) -> list[ResultRow]:
        store = Store(run / "rows")
        store.check()
        assert path.exists()
        return list(store.rows())

    survive(shard, load, tries(80, 200))


def test_a_damaged_shard_is_set_aside_and_nothing_else_is_touched(tmp_path) -> None:
    pytest.importorskip("pyarrow", reason="the extra 'bench' is not installed")
    run = tmp_path / "run"
    store = Store.open(run)
    kept, lost = store.write([row("a.png", 0.5)]), store.write([row("b.png", 0.25)])
    content = lost.read_bytes()
    for damage in damaged(content, tries(20, 60), seed=3):
        lost.write_bytes(damage)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UncheckedWarning)
            again = Store.open(run)
        assert kept.exists()
        assert again.damaged == ([] if lost.exists() else [lost])
        shutil.rmtree(run / "rows" / "damaged", ignore_errors=True)


def test_photographs(tmp_path) -> None:
    from maskstack.models import open_photo

    chance = torch.Generator().manual_seed(0)
    picture = Image.fromarray(torch.randint(0, 255, (24, 20, 3), generator=chance, dtype=torch.uint8).numpy())
    endings = ("png", "jpg", "gif", "bmp", "tiff", "webp", "ico", "ppm", "tga", "jp2", "pcx", "sgi")
    for number, ending in enumerate(endings):
        path = tmp_path / f"photo.{ending}"
        picture.save(path)
        for content in damaged(path.read_bytes(), tries(6, 500 // len(endings) + 1), seed=number):
            path.write_bytes(content)
            try:
                assert open_photo(path).mode == "RGB"
            except InputError as error:
                assert "\n" not in str(error)


def test_old_files_load_with_a_word(explanation, tmp_path) -> None:
    import safetensors.torch

    path = explanation.save(tmp_path / "map")
    with safetensors.safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        header = file.metadata()
    del header["digest"]
    fields = json.loads(header["explanation"])
    fields["degenerate"] = fields.pop("problems")
    old = {**header, "format": "maskstack-explanation-2", "explanation": json.dumps(fields)}
    safetensors.torch.save_file(tensors, path, old)
    with pytest.warns(UncheckedWarning, match="no digest"):
        assert same(Explanation.load(path).saliency, explanation.saliency)


SPOILT_JSON = [
    b"", b"null", b"[]", b'"text"', b"{", b"\xff\xfe", b"[" * 50_000, b'{"a":' * 50_000, b"1" * 10_000, b"{}",
    b"\x00", b'{"format": "maskstack-run-1"}', b"NaN", b'{"format": {}}', b"\xef\xbb\xbf{}",
]  # fmt: skip


@pytest.mark.parametrize("content", SPOILT_JSON, ids=range(len(SPOILT_JSON)))
def test_json_of_any_kind_is_one_sentence(content, tmp_path) -> None:
    from maskstack.leaderboard.record import open_runs
    from maskstack.prototypes.checkpoint import load

    for name, read in (("run.json", lambda: open_runs([tmp_path])), ("prototypes.json", lambda: load(tmp_path))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MaskstackError) as caught:
            read()
        assert "\n" not in str(caught.value)


def test_every_entry_of_a_record_may_be_wrong(tmp_path) -> None:
    from maskstack.leaderboard.record import open_runs
    from maskstack.leaderboard.request import BenchRequest

    request = BenchRequest(models=("bundled",), data="data", methods=("mdm",), groups=("faithfulness",))
    good = {"format": "maskstack-run-1", **dataclasses.asdict(request), "specs": request.specs, "versions": {}}
    wrong: list[Any] = [None, 3, -1, 1.5, True, "x", [], [1], {}, {"a": 1}, [[]], "\x00", 10**400]
    for name in good:
        for value in [*wrong, ...]:
            changed = {key: each for key, each in good.items() if value is not ... or key != name}
            if value is not ...:
                changed[name] = value
            (tmp_path / "run.json").write_text(json.dumps(changed))
            try:
                open_runs([tmp_path])
            except InputError as error:
                assert "\n" not in str(error)


XML = b"<annotation><filename>a.jpg</filename></annotation>"


@pytest.mark.parametrize(
    "content",
    [
        b'<?xml version="1.0" encoding="nonsense"?>' + XML, b'<?xml version="1.0" encoding="utf-16"?>' + XML,
        b'<?xml version="1.0" encoding="hex"?>' + XML, b'<?xml version="1.0" encoding="rot13"?>' + XML,
        b'<?xml version="1.0" encoding="idna"?>' + XML, b'<?xml version="1.0" encoding="utf-7"?>' + XML,
        b'<?xml version="1.0" encoding="cp1252"?>\xff' + XML, b"<a>" * 100_000, b"", b"\x00", b"<!DOCTYPE a>" + XML,
    ],
    ids=range(11),
)  # fmt: skip
def test_xml_of_any_encoding_is_one_sentence(content, tmp_path) -> None:
    from maskstack.datasets import load_images

    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "a.xml").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_images(tmp_path, format="voc")
    assert "\n" not in str(caught.value)
