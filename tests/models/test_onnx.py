import numpy as np
import pytest
import torch

from maskstack.errors import InputError, ModelError
from maskstack.models import load_model

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx2torch")


def write_onnx(path, tiny, shape=(None, 3, 32, 32), *, kind=onnx.TensorProto.FLOAT, extra_input=False, first=None):
    """The tiny network as a graph; None makes a dimension variable."""
    weights = {name: value.numpy() for name, value in tiny.state_dict().items()}
    dims = ["open" if dim is None else dim for dim in shape]
    inputs = [onnx.helper.make_tensor_value_info("image", kind, dims)]
    if extra_input:
        inputs.append(onnx.helper.make_tensor_value_info("other", kind, dims))
    nodes = [
        onnx.helper.make_node(first or "Identity", ["image"], ["same"]),
        onnx.helper.make_node("Conv", ["same", "conv.weight", "conv.bias"], ["maps"]),
        onnx.helper.make_node("Relu", ["maps"], ["rectified"]),
        onnx.helper.make_node("GlobalAveragePool", ["rectified"], ["pooled"]),
        onnx.helper.make_node("Flatten", ["pooled"], ["flat"]),
        onnx.helper.make_node("Gemm", ["flat", "head.weight", "head.bias"], ["logits"], transB=1),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "tiny",
        inputs,
        [onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [dims[0], 5])],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in weights.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


def test_it_answers_as_the_network_it_came_from(tmp_path, tiny, photo):
    model = load_model(f"onnx:{write_onnx(tmp_path / 'tiny.onnx', tiny)},norm=half")
    assert (model.input_size, model.mean, model.weights) == ((32, 32), (0.5,) * 3, "tiny.onnx")
    images = torch.stack([model.preprocess(photo)] * 3)
    assert torch.allclose(model.model(images), tiny(images), atol=1e-5)


def test_a_fixed_batch_takes_any(tmp_path, tiny):
    path = write_onnx(tmp_path / "tiny.onnx", tiny, (4, 3, 32, 32))
    images = torch.rand(6, 3, 32, 32)
    assert torch.allclose(load_model(f"onnx:{path}").model(images), tiny(images), atol=1e-5)


def test_an_open_size_must_be_given(tmp_path, tiny):
    path = write_onnx(tmp_path / "tiny.onnx", tiny, (None, None, None, None))
    with pytest.raises(InputError, match="size=224"):
        load_model(f"onnx:{path}")
    assert load_model(f"onnx:{path},size=40x48").input_size == (40, 48)


def test_a_size_the_graph_does_not_take(tmp_path, tiny):
    path = write_onnx(tmp_path / "tiny.onnx", tiny)
    with pytest.raises(InputError, match="32 x 32"):
        load_model(f"onnx:{path},size=64")


def test_grey_is_read_from_the_graph(tmp_path, photo):
    torch.manual_seed(0)
    grey = type("Grey", (torch.nn.Module,), {})()
    grey.conv, grey.head = torch.nn.Conv2d(1, 4, 3), torch.nn.Linear(4, 5)
    model = load_model(f"onnx:{write_onnx(tmp_path / 'grey.onnx', grey, (1, 1, 32, 32))}")
    assert model.preprocess(photo).shape == (1, 32, 32)
    assert len(model.mean) == len(model.std) == 1


def test_class_names_must_fit(tmp_path, tiny):
    path = write_onnx(tmp_path / "tiny.onnx", tiny)
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\ne\n")
    assert load_model(f"onnx:{path},classes={tmp_path / 'names.txt'}").class_names == tuple("abcde")
    with pytest.raises(InputError, match="1000 class names for the 5 classes"):
        load_model(f"onnx:{path},classes=imagenet")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"shape": (None, 32, 32, 3)}, "channels seem to be last"),
        ({"shape": (None, 3, 1024)}, "only networks of images"),
        ({"extra_input": True}, "2 inputs"),
        ({"kind": onnx.TensorProto.UINT8}, "uint8"),
        ({"first": "Det"}, "damaged|cannot"),
    ],
)
def test_graphs_that_cannot_be_explained(tmp_path, tiny, options, match):
    path = write_onnx(tmp_path / "tiny.onnx", tiny, **options)
    with pytest.raises(ModelError, match=match) as caught:
        load_model(f"onnx:{path}")
    assert "\n" not in str(caught.value)


def test_damaged_and_missing_files(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"not a graph")
    with pytest.raises(ModelError, match="damaged"):
        load_model(f"onnx:{tmp_path / 'bad.onnx'}")
    with pytest.raises(InputError, match="does not exist"):
        load_model(f"onnx:{tmp_path / 'none.onnx'}")


def test_weights_cannot_be_given(tmp_path, tiny):
    with pytest.raises(InputError, match="the key for onnx is 'weights'"):
        load_model(f"onnx:{write_onnx(tmp_path / 'tiny.onnx', tiny)}", weights="w.pt")
