"""Class activation maps, through the package grad-cam: Grad-CAM and related methods."""

from maskstack.explainers.cam.cam import CAM

__all__ = ["CAM"]
