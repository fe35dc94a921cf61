"""Loading a network together with its preprocessing, and opening photographs for it.

This package imports an optional package only when a spec needs it.
"""

from maskstack.models.classes import find_class, imagenet_names, read_names
from maskstack.models.kinds import InstalledKind, check_spec_from_file, installed_models, named_spec
from maskstack.models.load import load_model
from maskstack.models.loaded import LoadedModel, loaded
from maskstack.models.node import Node
from maskstack.models.photos import open_photo, said_of
from maskstack.models.preprocess import Preprocess

__all__ = [
    "InstalledKind",
    "LoadedModel",
    "Node",
    "Preprocess",
    "check_spec_from_file",
    "find_class",
    "imagenet_names",
    "installed_models",
    "load_model",
    "loaded",
    "named_spec",
    "open_photo",
    "read_names",
    "said_of",
]
