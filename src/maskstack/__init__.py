"""maskstack: which region of an image made a network answer as it did.

>>> from maskstack import MDM, load_model  # doctest: +SKIP
>>> net = load_model("bundled")  # doctest: +SKIP
>>> explanation = MDM(net)(net.preprocess(photo).unsqueeze(0))  # doctest: +SKIP
"""

from maskstack import objectives
from maskstack.errors import InputError, MaskstackError, MissingExtraError, ModelError, OutputError
from maskstack.explainers import HDM, MDM, MDMCAM, Explainer, explain_func
from maskstack.explanation import Explanation
from maskstack.masks import SearchSettings
from maskstack.models import LoadedModel, Node, load_model
from maskstack.trust import Trust
from maskstack.version import __version__

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
