"""Methods that hide parts of the image and measure the score; they wrap captum's methods.

Hidden pixels become zero, the mean of the normalisation. Maps keep their sign: negative values are evidence against.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from maskstack import checks
from maskstack.errors import require
from maskstack.explainers.base import MapOptions, OneByOne
from maskstack.scoring import Model, ScoredModel


class Occlusion(OneByOne):
    """A sliding square hides a part of the image; a pixel gets the mean fall of the score (Zeiler and Fergus 2014).

    Args:
        model: The network; it need not be differentiable.
        window: Side of the square in pixels; at most that of the image.
        stride: Pixels from one position to the next, at most ``window``.
        **options: See :class:`maskstack.explainers.base.MapExplainer`.

    Raises:
        InputError: An option is out of range.
        MissingExtraError: captum is not installed.
    """

    takes_volumes = True

    def __init__(self, model: Model, *, window: int = 32, stride: int = 16, **options: Unpack[MapOptions]) -> None:
        checks.whole("window", window, least=1)
        checks.whole("stride", stride, least=1)
        settings = {"window": window, "stride": min(stride, window)}
        super().__init__("occlusion", model, settings, **options)
        self.window, self.stride = window, min(stride, window)
        self.captum = require("captum.attr", extra="rivals")

    def _passes(self, size: tuple[int, int]) -> tuple[int, int]:
        return math.prod(1 + math.ceil(max(0, side - self.window) / self.stride) for side in size) + 1, 0

    def _map(self, scored: ScoredModel, image: Tensor) -> Tensor:
        channels, *sides = image.shape[1:]
        window = (channels, *(min(self.window, side) for side in sides))
        # If the window covers a whole side, it has only one position along it, for any stride.
        stride = (channels, *(min(self.stride, side) for side in window[1:]))
        found: Tensor = self.captum.Occlusion(scored).attribute(
            image, sliding_window_shapes=window, strides=stride, baselines=0.0, perturbations_per_eval=self.batch_size
        )
        return found[0].mean(dim=0)


class _OnSuperpixels(OneByOne):
    """A linear model of the score with one input per superpixel, shown or hidden; its weights are the map."""

    def __init__(self, method: str, model: Model, settings: Mapping[str, Any], **options: Unpack[MapOptions]) -> None:
        samples, segments = settings["samples"], settings["segments"]
        checks.whole("samples", samples, least=1)
        checks.whole("segments", segments, least=2)
        checks.whole("seed", settings["seed"], least=0)
        super().__init__(method, model, settings, forward=samples, **options)
        self.samples, self.segments = samples, segments
        self.captum = require("captum.attr", extra="rivals")
        for package in ("sklearn.linear_model", "skimage.segmentation"):
            require(package, extra="bench")

    def _map(self, scored: ScoredModel, image: Tensor) -> Tensor:
        regions = superpixels(image[0], self.segments)
        if int(regions.amax()) == 0:  # nothing to compare: a map that is the same everywhere
            return torch.zeros(image.shape[2:], device=image.device)
        weights: Tensor = self._fitter(scored).attribute(
            image,
            baselines=0.0,
            feature_mask=regions.expand(1, 1, *regions.shape),
            n_samples=self.samples,
            perturbations_per_eval=self.batch_size,
            return_input_shape=False,
        )
        return weights.flatten().to(image.device)[regions]

    @abstractmethod
    def _fitter(self, scored: ScoredModel) -> Any:
        """The method of captum."""


class LIME(_OnSuperpixels):
    """LIME (Ribeiro et al. 2016, eq. 1) on superpixels: a ridge regression, weighted towards the whole image.

    Samples show each superpixel with probability 1/2. Their weight is the square root of the paper's exponential
    kernel ``exp(-d**2 / kernel_width**2)``, as in the authors' code; d is the cosine distance between the shown
    superpixels and all of them. captum's own defaults do not work on photos: its kernel uses the Euclidean distance
    over all pixels, which makes every weight zero. Its lasso then makes all coefficients zero.

    Args:
        model: The network; it need not be differentiable.
        samples: Masked images.
        segments: Superpixels wanted.
        kernel_width: Width of the exponential kernel.
        ridge: Weight of the coefficients' squares in the regression.
        seed: Seed of the samples.
        **options: See :class:`maskstack.explainers.base.MapExplainer`.

    Raises:
        InputError: An option is out of range.
        MissingExtraError: captum, scikit-learn or scikit-image is not installed.
    """

    def __init__(
        self,
        model: Model,
        *,
        samples: int = 500,
        segments: int = 60,
        kernel_width: float = 0.25,
        ridge: float = 1.0,
        seed: int = 0,
        **options: Unpack[MapOptions],
    ) -> None:
        checks.share("kernel_width", kernel_width, one=True)
        checks.share("ridge", ridge, zero=True, one=True)
        settings = {
            "samples": samples, "segments": segments, "kernel_width": kernel_width, "ridge": ridge, "seed": seed,
        }  # fmt: skip
        super().__init__("lime", model, settings, **options)
        self.kernel_width, self.ridge = kernel_width, ridge

    def _fitter(self, scored: ScoredModel) -> Any:
        linear = require("captum._utils.models.linear_model", extra="rivals")
        return self.captum.Lime(
            scored, interpretable_model=linear.SkLearnRidge(alpha=self.ridge), similarity_func=self._closeness
        )

    def _closeness(self, _image: Tensor, _masked: Tensor, shown: Tensor, **_options: Any) -> Tensor:
        """Weight of a sample, 1, from the superpixels it shows, 1 x M of zeros and ones."""
        distance = 1 - shown.float().mean(dim=1).sqrt()  # cosine distance to a vector of ones
        return (-(distance**2) / self.kernel_width**2).exp().sqrt()


class KernelSHAP(_OnSuperpixels):
    """Shapley values of superpixels by weighted least squares (Lundberg and Lee 2017, theorem 2).

    Args:
        model: The network; it need not be differentiable.
        samples: Masked images; at least as many as superpixels, otherwise the regression is underdetermined.
        segments: Superpixels wanted.
        seed: Seed of the samples.
        **options: See :class:`maskstack.explainers.base.MapExplainer`.

    Raises:
        InputError: An option is out of range.
        MissingExtraError: captum, scikit-learn or scikit-image is not installed.
    """

    def __init__(
        self, model: Model, *, samples: int = 500, segments: int = 60, seed: int = 0, **options: Unpack[MapOptions]
    ) -> None:
        super().__init__("kernelshap", model, {"samples": samples, "segments": segments, "seed": seed}, **options)

    def _fitter(self, scored: ScoredModel) -> Any:
        return self.captum.KernelShap(scored)


def superpixels(image: Tensor, count: int) -> Tensor:
    """Cut an image into regions of similar colour (SLIC, Achanta et al. 2012).

    Args:
        image: C x H x W, preprocessed for the network; scaled to [0, 1] by its own range, so that the normalisation
            has no effect.
        count: Regions wanted; there can be fewer or a few more.

    Returns:
        Number of each pixel's region, from 0 without gaps: H x W, int64, on the image's device.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    segmentation = require("skimage.segmentation", extra="bench")
    values = image.detach().float().cpu()
    low, high = values.amin(), values.amax()
    picture = ((values - low) / (high - low).clamp_min(1e-12)).permute(1, 2, 0).contiguous().numpy()
    regions = segmentation.slic(picture, n_segments=count, compactness=10, sigma=1, start_label=0, channel_axis=-1)
    _, numbers = np.unique(regions, return_inverse=True)
    return torch.from_numpy(numbers.reshape(regions.shape)).long().to(image.device)
