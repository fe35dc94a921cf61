"""maskstack: which region of an image explains a network's output.

Names are imported when they are first used, so that ``import maskstack`` is quick.

>>> from maskstack import MDM, load_model, sample_photos  # doctest: +SKIP
>>> explanation = MDM(load_model("bundled"))(sample_photos()[0], "tiger cat")  # doctest: +SKIP
"""

from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any

from maskstack.version import __version__

if TYPE_CHECKING:
    from maskstack import objectives as objectives
    from maskstack.errors import InputError as InputError
    from maskstack.errors import MaskstackError as MaskstackError
    from maskstack.errors import MissingExtraError as MissingExtraError
    from maskstack.errors import ModelError as ModelError
    from maskstack.errors import OutputError as OutputError
    from maskstack.explainers import HDM as HDM
    from maskstack.explainers import MDM as MDM
    from maskstack.explainers import Explainer as Explainer
    from maskstack.explanation import Explanation as Explanation
    from maskstack.interop import MDMCAM as MDMCAM
    from maskstack.interop import explain_func as explain_func
    from maskstack.masks import SearchSettings as SearchSettings
    from maskstack.models import LoadedModel as LoadedModel
    from maskstack.models import Node as Node
    from maskstack.models import load_model as load_model
    from maskstack.reliability import Trust as Trust
    from maskstack.reliability import Verdict as Verdict
    from maskstack.samples import sample_photos as sample_photos
    from maskstack.scoring import with_arguments as with_arguments
    from maskstack.scoring.trust import trust as trust

_PLACES = {
    "errors": ("InputError", "MaskstackError", "MissingExtraError", "ModelError", "OutputError"),
    "explainers": ("HDM", "MDM", "Explainer"),
    "explanation": ("Explanation",),
    "interop": ("MDMCAM", "explain_func"),
    "masks": ("SearchSettings",),
    "samples": ("sample_photos",),
    "models": ("LoadedModel", "Node", "load_model"),
    "reliability": ("Trust", "Verdict"),
    "scoring": ("with_arguments",),
    "scoring.trust": ("trust",),
}

__all__ = ["__version__", "objectives", *chain(*_PLACES.values())]


def __getattr__(name: str) -> Any:
    if name == "objectives":
        return import_module("maskstack.objectives")
    for place, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"maskstack.{place}"), name)
    raise AttributeError(f"module 'maskstack' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
