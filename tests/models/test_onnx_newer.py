"""Files of newer opsets, as the default exporter of torch writes them, are rewritten with the same values."""

import numpy as np
import pytest
import torch
from tests.small import photos
from torch import nn

from maskstack import MDM
from maskstack.errors import ModelError
from maskstack.models import load_model
from maskstack.models.onnx_lowering import LoweringError, lowered

onnx = pytest.importorskip("onnx", reason="the extra 'models' is not installed")
pytest.importorskip("onnx2torch", reason="the extra 'models' is not installed")
pytest.importorskip("onnx.reference")
pytest.importorskip("onnx.inliner")

FLOAT = onnx.TensorProto.FLOAT
SHAPE = (2, 4, 6, 6)


def graph(nodes, opset: int, constants=None, *, shape=(2, 4)):
    values = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    return onnx.helper.make_model(
        onnx.helper.make_graph(
            nodes,
            "part",
            [onnx.helper.make_tensor_value_info("x", FLOAT, SHAPE)],
            [onnx.helper.make_tensor_value_info("y", FLOAT, shape)],
            values,
        ),
        opset_imports=[onnx.helper.make_opsetid("", opset)],
        ir_version=10,
    )


node = onnx.helper.make_node
INTS = np.int64
NODES = {
    "ReduceMean of axes": (18, [node("ReduceMean", ["x", "a"], ["y"])], {"a": np.array([2, 3], INTS)}),
    "ReduceL2 of all": (18, [node("ReduceL2", ["x"], ["y"], keepdims=0)], {}),
    "ReduceMax of none": (20, [node("ReduceMax", ["x"], ["y"], noop_with_empty_axes=1)], {}),
    "Pad of one axis": (
        19,
        [node("Pad", ["x", "p", "", "a"], ["y"], mode="reflect")],
        {"p": np.array([1, 2], INTS), "a": np.array([-1], INTS)},
    ),
    "Split by number": (
        18, [node("Split", ["x"], ["u", "v"], axis=1, num_outputs=2), node("Sub", ["u", "v"], ["y"])], {},
    ),
    "Split into unequal parts": (
        18, [node("Split", ["x"], ["u", "v"], axis=2, num_outputs=2), node("Concat", ["v", "u"], ["y"], axis=2)], {},
    ),
    "Gelu": (20, [node("Gelu", ["x"], ["y"])], {}),
    "Gelu by tanh": (20, [node("Gelu", ["x"], ["y"], approximate="tanh")], {}),
    "Mish": (18, [node("Mish", ["x"], ["y"])], {}),
    "HardSwish": (22, [node("HardSwish", ["x"], ["y"])], {}),
    "GroupNormalization": (
        21,
        [node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=2)],
        {"s": np.arange(4, dtype=np.float32), "b": np.ones(4, np.float32)},
    ),
    "LayerNormalization": (
        22, [node("LayerNormalization", ["x", "s"], ["y"], axis=-1)], {"s": np.arange(6, dtype=np.float32)},
    ),
    "RMSNormalization": (
        23, [node("RMSNormalization", ["x", "s"], ["y"], axis=-1)], {"s": np.arange(6, dtype=np.float32)},
    ),
    "Attention": (23, [node("Attention", ["x", "x", "x"], ["y"], scale=0.5)], {}),
    "Reshape that allows zero": (
        19, [node("Reshape", ["x", "s"], ["y"], allowzero=1)], {"s": np.array([2, -1], INTS)},
    ),
    "Resize of all axes": (
        19,
        [node("Resize", ["x", "", "k"], ["y"], mode="nearest", coordinate_transformation_mode="asymmetric",
              nearest_mode="floor", axes=[0, 1, 2, 3])],
        {"k": np.array([1, 1, 2, 2], np.float32)},
    ),
    "AveragePool": (22, [node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2])], {}),
    "Cast": (24, [node("Cast", ["x"], ["y"], to=FLOAT)], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", NODES)
def test_a_newer_operator_gives_the_same_values(name: str) -> None:
    import onnx2torch

    opset, nodes, constants = NODES[name]
    x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    (expected,) = onnx.reference.ReferenceEvaluator(graph(nodes, opset, constants)).run(None, {"x": x})
    model = graph(nodes, opset, constants, shape=expected.shape)
    onnx.checker.check_model(model)
    before = model.SerializeToString()
    older = lowered(model, onnx)
    onnx.checker.check_model(older)
    assert older.opset_import[0].version == 17
    found = onnx2torch.convert(older)(torch.from_numpy(x))
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-5)
    assert model.SerializeToString() == before


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([node("Shape", ["x"], ["s"]), node("ReduceMean", ["x", "s"], ["y"])], "ReduceMean computes its axes"),
        ([node("Col2Im", ["x", "x", "x"], ["y"])], "Col2Im"),
        ([node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], dilations=[2, 2])], "AveragePool has dilations"),
    ],
)
def test_what_has_no_equal_is_named(nodes, words: str) -> None:
    with pytest.raises(LoweringError, match=words):
        lowered(graph(nodes, 19), onnx)


def test_an_older_file_is_not_changed() -> None:
    model = graph([node("Relu", ["x"], ["y"])], 17)
    assert lowered(model, onnx) is model


def exported(model: nn.Module, path, size: int = 64) -> torch.Tensor:
    """Write a file as torch.onnx.export does by default; the result is the network's output for two photos."""
    pytest.importorskip("onnxscript", reason="torch's default exporter needs onnxscript")
    torch.manual_seed(0)
    for parameter in model.parameters():  # some heads start at zero, which would hide any difference
        if not parameter.abs().sum():
            nn.init.normal_(parameter, std=0.1)
    images = photos(2, (size, size))
    torch.onnx.export(model.eval(), (images[:1],), str(path), verbose=False)
    with torch.no_grad():
        return model(images)


def networks():
    models = pytest.importorskip("torchvision", reason="the extra 'models' is not installed").models
    block = models.convnext.CNBlockConfig
    return {
        "resnet18": lambda: models.resnet18(weights=None),
        "vit_b_32": lambda: models.VisionTransformer(64, 32, 2, 4, 48, 96, num_classes=10),
        "convnext": lambda: models.ConvNeXt([block(16, 32, 1), block(32, None, 1)], num_classes=10),
        "swin": lambda: models.SwinTransformer([4, 4], 16, [2, 1], [2, 2], [4, 4], num_classes=10),
        "standardised weights": lambda: pytest.importorskip("timm").create_model("test_nfnet", num_classes=10),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "vit_b_32", "convnext", "swin", "standardised weights"])
def test_files_of_the_default_exporter_agree_with_their_network(name: str, tmp_path) -> None:
    torch.manual_seed(0)
    expected = exported(networks()[name](), tmp_path / "net.onnx")
    net = load_model(f"onnx:{tmp_path / 'net.onnx'}")
    images = photos(2, (64, 64)).requires_grad_()
    found = net.model(images)
    assert expected.abs().max() > 1e-2
    torch.testing.assert_close(found.detach(), expected, atol=1e-4, rtol=1e-4)
    (gradient,) = torch.autograd.grad(found.sum(), images)
    assert gradient.abs().sum() > 0


@pytest.mark.slow
def test_a_softmax_and_the_names_of_the_outputs_are_in_the_file(tmp_path) -> None:
    pytest.importorskip("onnxscript", reason="torch's default exporter needs onnxscript")

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 40, 5), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
            self.head = nn.Linear(40, 6)

        def forward(self, images):
            features = self.body(images)
            return features, self.head(features).softmax(1)

    torch.manual_seed(0)
    model, images = Two().eval(), photos(2, (24, 24))
    torch.onnx.export(
        model, (images[:1],), str(tmp_path / "two.onnx"), output_names=["features", "shares"], verbose=False
    )
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\ne\nf\n")
    net = load_model(f"onnx:{tmp_path / 'two.onnx'},output=shares,classes={tmp_path / 'names.txt'}")
    found = MDM(net, sizes=(2, 5), steps=3)(images, 2)
    torch.testing.assert_close(found.score_before, model(images)[1][:, 2].detach(), atol=1e-4, rtol=1e-4)
    assert found.output == "probabilities of 6 classes (output shares of 2: features, shares)"
    first = load_model(f"onnx:{tmp_path / 'two.onnx'}")
    with pytest.raises(ModelError, match=r"an embedding of 40 values \(output features of 2: features, shares\)"):
        MDM(first)(images)


def test_a_file_that_cannot_be_converted_says_which_call_makes_another(tmp_path) -> None:
    path = tmp_path / "det.onnx"
    model = graph([node("Det", ["x"], ["y"])], 19)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3
    onnx.save(model, str(path))
    with pytest.raises(ModelError, match=r"torch\.onnx\.export\(model\.eval\(\), \(images,\), .*opset_version=17"):
        load_model(f"onnx:{path}")
