"""A layer of a network as its output."""

import pytest
import torch
from skimage import data
from torch import nn

from maskstack import MDM, InputError, ModelError, Node, load_model
from maskstack.models.node import peaks


def small_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()


def test_the_layer_is_read_and_the_rest_is_not_run():
    net = small_net()
    images = torch.rand(2, 3, 9, 8)
    net[4].register_forward_hook(lambda *_: pytest.fail("the last layer was run"))
    assert torch.equal(Node(net, "1")(images), net[1](net[0](images)).amax(dim=(2, 3)))


def test_a_function_reads_the_output_of_the_layer():
    net = small_net()
    images = torch.rand(2, 3, 9, 8)
    read = Node(net, "0", lambda maps: maps.square().mean(dim=(1, 2, 3)))
    assert torch.equal(read(images), net[0](images).square().mean(dim=(1, 2, 3)))


def test_no_hook_stays_also_after_an_exception():
    net = small_net()
    node = Node(net, "1", lambda _maps: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        node(torch.rand(1, 3, 9, 8))
    assert all(not module._forward_hooks for module in net.modules())


@pytest.mark.parametrize("shape", [(2, 5), (2, 7, 5), (2, 5, 3, 4)])
def test_peaks_give_a_number_per_unit(shape):
    assert peaks(torch.rand(shape)).shape == (2, 5)


def test_errors_say_what_to_do():
    with pytest.raises(InputError, match=r"no layer '11'.*did you mean"):
        Node(small_net(), "11")
    with pytest.raises(ModelError, match="read="):
        peaks(torch.rand(3))

    class Lazy(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)

        def forward(self, images):
            return self.used(images)

    with pytest.raises(ModelError, match="did not run its layer unused"):
        Node(Lazy(), "unused")(torch.rand(1, 3, 9, 8))


@pytest.mark.slow
def test_a_hidden_unit_of_a_real_network_is_kept_by_a_part_of_the_photo():
    from PIL import Image

    net = load_model("bundled,size=128")
    image = net.preprocess(Image.fromarray(data.chelsea())).unsqueeze(0)
    node = Node(net, "_blocks.10")
    unit = int(node(image)[0].argmax())
    found = MDM(node, objective="logit", preset="fast")(image, unit)
    assert float(found.score_before) == pytest.approx(float(node(image)[0, unit].detach()), rel=1e-4)
    assert float(found.area) < 0.5
    assert float(found.score_under_stack) > 0.7 * float(found.score_before)
