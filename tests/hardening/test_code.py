"""A data file never chooses code: whatever a checkpoint, a run, a list or a network's file says, nothing of it runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from maskstack.errors import InputError, MaskstackError
from maskstack.models import check_spec_from_file, load_model
from maskstack.models.kinds import KINDS


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A module that leaves a file when it runs."""
    (tmp_path / "trap.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n\ndef make():\n    raise SystemExit\n"
    )
    return tmp_path / "trap.py"


def ran(trap: Path) -> bool:
    """Whether the module ran."""
    return trap.with_name("ran").exists()


SPELLINGS = [
    "python:{}:make",
    " python : {}:make",
    "python:{}:make,size=32",
    "python:trap:make",
    "PYTHON:{}:make",
    "x:{}",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_spec_in_a_file_names_no_code(spelling, trap) -> None:
    from maskstack.prototypes.config import read_config
    from maskstack.web.networks import offered

    spec = spelling.format(trap)
    (trap.parent / "models.toml").write_text(f'mine = "{spec}"\n')
    with pytest.raises(InputError) as listed:
        offered(folder=trap.parent)
    (trap.parent / "train.toml").write_text(f'[network]\nkind = "protopnet"\nbackbone = "{spec}"\n')
    with pytest.raises(InputError) as configured:
        read_config(trap.parent / "train.toml")
    for caught in (listed, configured):
        assert "would run code" in str(caught.value) or "the model kind in" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not ran(trap)


def test_only_kinds_that_are_known_to_be_data_are_loaded_from_files() -> None:
    assert {name for name, kind in KINDS.items() if kind.runs_code} == {"python"}
    for name in ("bundled", "timm:resnet18", "onnx:a.onnx"):
        assert check_spec_from_file(name, "file") == name
    assert check_spec_from_file("python:a:b", "file", allow_code=True) == "python:a:b"


def test_a_checkpoint_names_no_code_and_says_so(trap) -> None:
    from maskstack.prototypes.checkpoint import FORMAT, OLD_FORMAT, load

    about = {
        "kind": "protopnet", "class_names": ["a", "b"], "multi_label": False, "owners": [0, 1], "report": {},
        "sources": [{"image": "a", "row": 0, "column": 0, "activation": 1.0}] * 2,
        "config": {"network": {"kind": "protopnet", "backbone": f"python:{trap}:make"}},
    }  # fmt: skip
    for kind in (FORMAT, OLD_FORMAT):
        (trap.parent / "prototypes.json").write_text(json.dumps({**about, "format": kind}))
        with pytest.warns(Warning) if kind == OLD_FORMAT else pytest.raises(InputError):
            try:
                load(trap.parent)
            except InputError as error:
                if kind == FORMAT:
                    raise
                assert "--allow-code" in str(error)
    assert not ran(trap)


def test_a_run_names_no_code(trap) -> None:
    from maskstack.leaderboard.pictures import open_photos
    from maskstack.leaderboard.record import RunRecord
    from maskstack.leaderboard.request import BenchRequest

    request = BenchRequest(models=("bundled",), data=str(trap.parent), methods=("mdm",), groups=("faithfulness",))
    run = RunRecord(trap.parent, {**vars(request), "specs": {"net": f"python:{trap}:make"}})
    with pytest.raises(InputError, match="--allow-code"):
        open_photos(run, "net")
    assert not ran(trap)


EVIL = (
    'a" if getattr(__import__("os"), "system")("touch {ran}") else "a',
    'a") or __import__("os").system("touch {ran}") or getattr(self, "a',
    'a\\", open("{ran}", "w"), "',
    'a\n    open("{ran}", "w")\n    x = "',
    "a'+open('{ran}','w')+'",
    "{{open('{ran}','w')}}",
)


@pytest.mark.parametrize("field", ["name", "output", "graph", "input"])
@pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
def test_names_in_an_onnx_file_are_not_code(evil, field, tmp_path) -> None:
    onnx = pytest.importorskip("onnx", reason="the extra 'models' is not installed")
    pytest.importorskip("onnx2torch", reason="the extra 'models' is not installed")
    made, kind = onnx.helper, onnx.TensorProto.FLOAT
    name = evil.format(ran=tmp_path / "ran")
    names = {"name": "n", "output": "y", "graph": "g", "input": "x"} | {field: name}
    nodes = [
        made.make_node("Relu", [names["input"]], [names["output"]], name=names["name"]),
        made.make_node("GlobalAveragePool", [names["output"]], ["z"], name=f"{names['name']}p"),
        made.make_node("Flatten", ["z"], ["w"], name="f"),
    ]
    taken = [made.make_tensor_value_info(names["input"], kind, [1, 3, 16, 16])]
    given = [made.make_tensor_value_info("w", kind, [1, 3])]
    graph = made.make_graph(nodes, names["graph"], taken, given)
    model = made.make_model(graph, opset_imports=[made.make_opsetid("", 13)])
    model.ir_version = 8
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    try:
        net = load_model(f"onnx:{tmp_path / 'net.onnx'}")
        net.model(torch.rand(1, 3, 16, 16))
    except MaskstackError as error:
        assert "\n" not in str(error)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "place", ["../outside.bin", "/etc/passwd", "a/../../outside.bin", "..\\outside.bin", "link.bin"]
)
def test_external_data_stays_in_the_folder(place, tmp_path) -> None:
    onnx = pytest.importorskip("onnx", reason="the extra 'models' is not installed")
    pytest.importorskip("onnx2torch", reason="the extra 'models' is not installed")
    (tmp_path / "outside.bin").write_bytes(bytes(4 * 3))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    made, kind = onnx.helper, onnx.TensorProto.FLOAT
    bias = made.make_tensor("b", kind, [1, 3, 1, 1], bytes(12), raw=True)
    bias.ClearField("raw_data")
    bias.data_location = onnx.TensorProto.EXTERNAL
    bias.external_data.add(key="location", value=place)
    nodes = [made.make_node("Add", ["x", "b"], ["y"])]
    infos = [made.make_tensor_value_info(each, kind, [1, 3, 16, 16]) for each in ("x", "y")]
    graph = made.make_graph(nodes, "g", infos[:1], infos[1:], [bias])
    model = made.make_model(graph, opset_imports=[made.make_opsetid("", 13)])
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(MaskstackError, match="not in its own folder"):
        load_model(f"onnx:{folder / 'net.onnx'}")


def test_no_program_is_called_for_a_mask_or_an_image_of_a_data_set(tmp_path, monkeypatch) -> None:
    from PIL import EpsImagePlugin

    from maskstack.datasets.from_hugging_face import _decoded
    from maskstack.datasets.regions import MaskFile

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("Ghostscript was called"))
    Image.new("RGB", (16, 16)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(InputError):
        MaskFile(tmp_path / "a.png").draw((16, 16))
    with pytest.raises(Exception, match="cannot identify"):
        _decoded({"bytes": (tmp_path / "a.png").read_bytes()})
    for path in (str(tmp_path / "a.png"), "https://example.org/a.png", "/etc/passwd"):
        with pytest.raises(InputError, match="another file"):
            _decoded({"bytes": None, "path": path})


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("config.json", "auto_map", {"AutoModelForImageClassification": "trap.Model"}),
        ("preprocessor_config.json", "auto_map", {"AutoImageProcessor": "trap.Processor"}),
        ("config.json", "quantization_config", {"quant_method": "x"}),
        ("config.json", "attn_implementation", "kernels-community/flash"),
        ("config.json", "_attn_implementation", "someone/kernel"),
        ("config.json", "backbone", "someone/backbone"),
        ("config.json", "architecture", "hf-hub:someone/network"),
        ("preprocessor_config.json", "image_processor_type", "pipeline"),
        ("model.safetensors.index.json", "weight_map", {"a": "../../outside.safetensors"}),
    ],
)
def test_a_hugging_face_folder_names_no_code_and_no_other_folder(file, key, value, tmp_path) -> None:
    pytest.importorskip("transformers", reason="the extra 'models' is not installed")
    contents = {
        "config.json": {"model_type": "vit", "image_size": 32},
        "preprocessor_config.json": {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}},
    }
    contents[file] = {**contents.get(file, {}), key: value}
    for name, content in contents.items():
        (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(MaskstackError, match=f"in {key}|in {file}"):
        load_model(f"hf:{tmp_path}")
