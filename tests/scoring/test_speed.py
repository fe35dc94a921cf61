"""The way of running a network that a speed stands for, on a device."""

import shutil
from typing import get_args

import pytest
import torch
from torch import nn

from maskstack.scoring.prepared import PreparedModel
from maskstack.speed import PLAIN, Speed, Way, way_for


@pytest.mark.parametrize("device", ["cpu", "cuda", "xpu", "mps"])
def test_auto_starts_at_once_and_changes_no_more_than_rounding(device: str) -> None:
    way = way_for("auto", device)
    assert not way.half
    assert not way.compile
    assert not way.graphs
    assert way.fold
    assert way.channels_last == (device != "mps")


@pytest.mark.parametrize("speed", get_args(Speed))
def test_nothing_folds_where_the_networks_own_modules_are_looked_at(speed: Speed) -> None:
    assert not way_for(speed, "cpu", fold=False).fold


@pytest.mark.parametrize("speed", ["compiled", "half_compiled"])
def test_compiled_passes_are_cuda_graphs_on_cuda_only_and_fold_nothing(speed: Speed) -> None:
    assert way_for(speed, "cuda").graphs
    assert not way_for(speed, "cpu").graphs
    assert not way_for(speed, "cuda").fold


def test_plain_is_the_network_as_it_is() -> None:
    assert {way_for("plain", device) for device in ("cpu", "cuda", "mps")} == {PLAIN}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_the_output_of_a_recorded_pass_is_not_in_memory_that_the_next_pass_writes_to() -> None:
    # There is no graph on the CPU, but what is done around one is the same.
    net, images = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten()).eval(), torch.rand(2, 3, 8, 8)
    made = []

    class Named(nn.Module):
        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            made.append(net(images))
            return {"logits": made[-1]}

    recorded = PreparedModel(Named(), way=Way(compile=True, graphs=True))
    output = recorded.first(images)["logits"]
    assert torch.equal(output, net(images))
    assert output.data_ptr() != made[-1].data_ptr()
    assert torch.allclose(recorded(images)["logits"], net(images), atol=1e-6)
    assert recorded.how == "fp32, compiled, CUDA graphs"
