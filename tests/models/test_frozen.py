import pytest
import torch
from torch import nn

from maskstack.errors import ModelError
from maskstack.models.frozen import FixedBatch


class OnlyFour(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, images):
        assert len(images) == 4
        return self.answer(images.mean(dim=(2, 3)))


@pytest.mark.parametrize("batch", [1, 3, 4, 5, 9])
def test_any_number_of_images(batch):
    images = torch.rand(batch, 3, 8, 8, requires_grad=True)
    output = FixedBatch(OnlyFour(lambda means: means), 4)(images)
    assert torch.equal(output, images.mean(dim=(2, 3)))
    grad = torch.autograd.grad(output[0].sum(), images)[0]
    assert grad[0].abs().min() > 0
    assert (grad[1:] == 0).all()


def test_outputs_in_containers():
    images = torch.rand(5, 3, 8, 8)
    output = FixedBatch(OnlyFour(lambda means: {"logits": means, "all": (means, [2 * means])}), 4)(images)
    assert output["logits"].shape == (5, 3)
    assert torch.equal(output["all"][1][0], 2 * output["logits"])


def test_outputs_other_than_tensors_are_refused():
    with pytest.raises(ModelError, match="str"):
        FixedBatch(OnlyFour(lambda _means: "cat"), 4)(torch.rand(5, 3, 8, 8))
