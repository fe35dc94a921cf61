"""One call explains every architecture, and leaves it as it was."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from maskstack import MDM, load_model
from maskstack.objectives import class_logit

pytestmark = pytest.mark.slow

timm = pytest.importorskip("timm", reason="the extra 'models' is not installed")
torchvision = pytest.importorskip("torchvision", reason="the extra 'models' is not installed")
transformers = pytest.importorskip("transformers", reason="the extra 'models' is not installed")

SETTINGS = {"sizes": (3, (4, 6)), "steps": 4, "consistency": "absolute"}


def swin() -> nn.Module:
    return timm.models.swin_transformer.SwinTransformer(
        img_size=64, patch_size=4, window_size=4, embed_dim=24, depths=(1, 1), num_heads=(2, 2), num_classes=7
    )


def densenet() -> nn.Module:
    return torchvision.models.DenseNet(growth_rate=8, block_config=(2, 2), num_init_features=8, num_classes=7)


def hf_vit() -> nn.Module:
    config = transformers.ViTConfig(
        image_size=64, patch_size=16, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, num_labels=7,
    )  # fmt: skip
    return transformers.ViTForImageClassification(config)


NETWORKS = {
    "timm resnet": lambda: timm.create_model("test_resnet", num_classes=7),
    "timm vit": lambda: timm.create_model("test_vit", num_classes=7, img_size=64),
    "timm swin": swin,
    "timm convnext": lambda: timm.create_model("test_convnext", num_classes=7),
    "torchvision resnet": lambda: torchvision.models.resnet18(num_classes=7),
    "torchvision densenet": densenet,
    "hugging face vit": hf_vit,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_explains_the_architecture_and_leaves_it_as_it_was(name: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]().train()
    next(network.children()).eval()
    before = copy.deepcopy(network.state_dict())
    flags = [(module.training, len(module._forward_hooks)) for module in network.modules()]
    wants = [parameter.requires_grad for parameter in network.parameters()]
    random_state = torch.get_rng_state()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))

    found = MDM(network, **SETTINGS)(images, class_logit([1, 5]))

    assert found.saliency.shape == (2, 1, 64, 64)
    assert found.saliency.min() >= 0
    assert found.saliency.max() <= 1
    assert all(len(torch.unique(grid)) > 1 for grid in found.grids), "no gradient moved the grids"
    assert found.target == (1, 5)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert flags == [(module.training, len(module._forward_hooks)) for module in network.modules()]
    assert wants == [parameter.requires_grad for parameter in network.parameters()]
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(random_state, torch.get_rng_state())


def test_explains_an_onnx_file(tmp_path: Path) -> None:
    pytest.importorskip("onnx2torch", reason="the extra 'models' is not installed")
    helper = pytest.importorskip("onnx", reason="the extra 'models' is not installed").helper
    import numpy as np
    import onnx

    weights = np.random.default_rng(0).normal(size=(5, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "w"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["r"]),
            helper.make_node("GlobalAveragePool", ["r"], ["p"]),
            helper.make_node("Flatten", ["p"], ["logits"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, 32, 48])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [1, 5])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    file = tmp_path / "tiny.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), file)
    net = load_model(f"onnx:{file}")
    found = MDM(net, **SETTINGS)(torch.randn(2, 3, 32, 48), class_logit(2))
    assert found.saliency.shape == (2, 1, 32, 48)
    assert len(torch.unique(found.grids[1])) > 1


def test_explains_an_exported_program(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = densenet().eval()
    file = tmp_path / "network.pt2"
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(network, (torch.randn(2, 3, 64, 64),), dynamic_shapes=({0: batch},))
    torch.export.save(exported, file)
    net = load_model(f"exported:{file}")
    images = torch.randn(2, 3, 64, 64)
    found = MDM(net, **SETTINGS)(images, class_logit(2))
    direct = MDM(network, **SETTINGS)(images, class_logit(2))
    assert found.saliency.shape == (2, 1, 64, 64)
    assert torch.allclose(found.stack, direct.stack, atol=1e-3)


@pytest.mark.parametrize("size", [(48, 80), (65, 33)])
def test_explains_images_that_are_not_square(size: tuple[int, int]) -> None:
    network = torchvision.models.resnet18(num_classes=7)
    found = MDM(network, **SETTINGS)(torch.randn(1, 3, *size), 3)
    assert found.saliency.shape == (1, 1, *size)
    assert found.grids[1].shape == (1, 4, 6)
