"""Prototype networks, ProtoPNet and XProtoNet, and the search for the regions of their prototypes.

Training needs Lightning and is imported where it is used: ``maskstack.prototypes.run.train``.
"""

from maskstack.prototypes.checkpoint import Prototypes, load
from maskstack.prototypes.config import Config, read_config
from maskstack.prototypes.explaining import answer
from maskstack.prototypes.protopnet import ProtoPNet
from maskstack.prototypes.search import locate
from maskstack.prototypes.xprotonet import XProtoNet

__all__ = ["Config", "ProtoPNet", "Prototypes", "XProtoNet", "answer", "load", "locate", "read_config"]
