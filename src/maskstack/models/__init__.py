"""Getting a network together with its preprocessing, and pictures to show it.

Importing this package imports no optional one; each is imported when a spec asks for it.
"""

from maskstack.models.classes import find_class
from maskstack.models.installed import InstalledKind, installed_models
from maskstack.models.load import load_model
from maskstack.models.loaded import LoadedModel, loaded
from maskstack.models.named import named_spec
from maskstack.models.names import imagenet_names, read_names
from maskstack.models.node import Node
from maskstack.models.photos import open_photo
from maskstack.models.preprocess import Preprocess

__all__ = [
    "InstalledKind",
    "LoadedModel",
    "Node",
    "Preprocess",
    "find_class",
    "imagenet_names",
    "installed_models",
    "load_model",
    "loaded",
    "named_spec",
    "open_photo",
    "read_names",
]
