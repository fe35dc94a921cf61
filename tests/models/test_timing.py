"""The expected time of a job."""

import pytest
import torch
from torch import nn

from maskstack.models import timing


def test_the_expected_time_is_that_of_the_passes_of_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "pass_seconds", lambda model, images: (2.0, 3.0))
    seconds = timing.expected_seconds(nn.Identity(), torch.zeros(4, 3, 8, 8), {"forward": 10, "backward": 6})
    assert seconds == (2 * 10 + 3 * 6) / 4


def test_passes_are_timed_also_where_nothing_can_be_differentiated() -> None:
    images = torch.rand(2, 3, 8, 8)
    assert min(timing.pass_seconds(nn.Conv2d(3, 4, 3), images)) > 0
    assert min(timing.pass_seconds(lambda given: given.detach().mean(dim=(1, 2, 3)), images)) > 0
