"""A tiny network, a photograph, and the folder of real data."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn


class TinyNet(nn.Module):
    """Five classes; its names of layers differ from the prefixes that wrappers add."""

    def __init__(self, channels: int = 3, classes: int = 5) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 3)
        self.head = nn.Linear(4, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(torch.relu(self.conv(images)).mean(dim=(2, 3)))


@pytest.fixture
def tiny() -> TinyNet:
    torch.manual_seed(0)
    return TinyNet().eval()


@pytest.fixture
def photo() -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data, which the environment variable MASKSTACK_DATA names."""
    folder = os.environ.get("MASKSTACK_DATA")
    if not folder:
        pytest.skip("MASKSTACK_DATA is not set, so there are no real photographs and networks to try")
    if not Path(folder).is_dir():
        pytest.skip(f"MASKSTACK_DATA is {folder}, which is not a folder")
    return Path(folder)
