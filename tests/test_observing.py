"""Observing a network's operations, and Ctrl-C in their midst."""

import gc
import sys

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode, _len_torch_function_stack

from maskstack.observing import TensorNotes, seen_by
from maskstack.scoring.predict import class_probabilities


class Nothing(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def test_a_note_ends_with_its_tensor_and_holds_none() -> None:
    notes = TensorNotes[int]()
    tensor = torch.ones(3)
    notes.put(tensor, 7)
    assert notes.of(tensor) == 7
    place = id(tensor)
    del tensor
    for _ in range(100):  # one of them gets the same place in memory
        other = torch.zeros(3)
        assert notes.of(other) is None
        if id(other) == place:
            break
        del other


def test_an_interruption_is_not_replaced_by_an_error_of_torch() -> None:
    mode = Nothing()

    def interrupted() -> None:
        with seen_by(mode):
            mode.__exit__(None, None, None)  # what is left where Ctrl-C comes within torch's handling of an operation
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert _len_torch_function_stack() == 0
    with seen_by(mode):
        assert _len_torch_function_stack() == 1
    assert _len_torch_function_stack() == 0


@pytest.mark.slow
def test_no_interruption_of_a_prediction_is_lost() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    images = torch.rand(1, 3, 8, 8)
    class_probabilities(network, images)
    calls = 0

    def interrupt(_frame, event, _argument):
        nonlocal calls
        calls += event == "call"
        if calls == after:
            sys.setprofile(None)
            raise KeyboardInterrupt

    after, interrupted = 3, 0
    gc.collect()
    gc.disable()  # others have Python code called by it, which loses what is raised there
    try:
        while True:
            calls = 0
            sys.setprofile(interrupt)
            try:
                class_probabilities(network, images)
            except KeyboardInterrupt:
                interrupted += 1
            finally:
                sys.setprofile(None)
            if calls < after:
                break
            after += 7
    finally:
        gc.enable()
    assert interrupted == (after - 3) / 7, "each interruption ends the prediction"
    assert interrupted > 50
    assert _len_torch_function_stack() == 0
