"""The images of a run."""

from __future__ import annotations

from maskstack.datasets import AnnotatedImages, load_images
from maskstack.leaderboard.request import Request
from maskstack.models import LoadedModel


def load_for(request: Request, net: LoadedModel) -> AnnotatedImages:
    """The images that a run chooses from, labelled by the network's classes.

    Raises:
        InputError: The data cannot be read.
    """
    images = load_images(request.data, class_names=net.class_names, split=request.split)
    if request.half == "all":
        return images
    return images.half("tuning" if request.half == "tuning" else "reporting")
