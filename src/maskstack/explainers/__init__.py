"""Methods behind one protocol: images and an objective in, an explanation out."""

from maskstack.explainers.base import Explainer
from maskstack.explainers.hdm import HDM
from maskstack.explainers.mdm import MDM

__all__ = ["HDM", "MDM", "Explainer"]
