"""The class activation maps, through the package grad-cam: Grad-CAM and its kin."""

from maskstack.explainers.cam.cam import CAM

__all__ = ["CAM"]
