"""Methods behind one protocol: images and an objective in, an explanation out."""

from maskstack.explainers.explain_func import explain_func
from maskstack.explainers.hdm import HDM
from maskstack.explainers.mdm import MDM
from maskstack.explainers.mdm_cam import MDMCAM
from maskstack.explainers.protocol import Explainer

__all__ = ["HDM", "MDM", "MDMCAM", "Explainer", "explain_func"]
