"""maskstack: which region of an image explains a network's output.

Names are imported when they are first used, so that ``import maskstack`` is quick.

>>> from maskstack import MDM, load_model  # doctest: +SKIP
>>> net = load_model("bundled")  # doctest: +SKIP
>>> explanation = MDM(net)(net.preprocess(photo).unsqueeze(0))  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from maskstack.version import __version__

if TYPE_CHECKING:
    from maskstack import objectives
    from maskstack.errors import InputError, MaskstackError, MissingExtraError, ModelError, OutputError
    from maskstack.explainers import HDM, MDM, Explainer
    from maskstack.explanation import Explanation
    from maskstack.interop import MDMCAM, explain_func
    from maskstack.masks import SearchSettings
    from maskstack.models import LoadedModel, Node, load_model
    from maskstack.trust import Trust

__all__ = [
    "HDM",
    "MDM",
    "MDMCAM",
    "Explainer",
    "Explanation",
    "InputError",
    "LoadedModel",
    "MaskstackError",
    "MissingExtraError",
    "ModelError",
    "Node",
    "OutputError",
    "SearchSettings",
    "Trust",
    "__version__",
    "explain_func",
    "load_model",
    "objectives",
]

_PLACES = {
    "errors": ("InputError", "MaskstackError", "MissingExtraError", "ModelError", "OutputError"),
    "explainers": ("HDM", "MDM", "Explainer"),
    "explanation": ("Explanation",),
    "interop": ("MDMCAM", "explain_func"),
    "masks": ("SearchSettings",),
    "models": ("LoadedModel", "Node", "load_model"),
    "trust": ("Trust",),
}


def __getattr__(name: str) -> Any:
    if name == "objectives":
        return import_module("maskstack.objectives")
    for place, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"maskstack.{place}"), name)
    raise AttributeError(f"module 'maskstack' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
