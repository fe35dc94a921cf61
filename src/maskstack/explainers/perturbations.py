"""Methods that hide parts of the image and look at the score; captum's, behind our protocol.

What is hidden becomes zero, the mean of the normalisation. A map keeps its sign: below zero is evidence against.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from maskstack.explainers.rival import PREDICTIONS, OneByOne, check_share, check_whole
from maskstack.explainers.scored import ScoredNetwork
from maskstack.explainers.subject import Model
from maskstack.explainers.superpixels import superpixels
from maskstack.extras import require


class Occlusion(OneByOne):
    """A square that hides slides over the image; a pixel has the mean fall of the score (Zeiler and Fergus 2014).

    Args:
        model: The network; no gradient is asked of it.
        window: Side of the square in pixels; the image's where that is shorter.
        stride: Pixels from one place to the next, ``window`` at most.
        objective: What a class index means.
        batch_size: Images in one pass at most.
        class_names: For the result.

    Raises:
        InputError: An option is out of range.
        MissingExtraError: captum is not installed.
    """

    def __init__(
        self,
        model: Model,
        *,
        window: int = 32,
        stride: int = 16,
        objective: str = "probability",
        batch_size: int = 32,
        class_names: Sequence[str] = (),
    ) -> None:
        check_whole("window", window, least=1)
        check_whole("stride", stride, least=1)
        settings = {"window": window, "stride": min(stride, window)}
        super().__init__(
            "occlusion", model, objective=objective, batch_size=batch_size, class_names=class_names, settings=settings
        )
        self.window, self.stride = window, min(stride, window)
        self.captum = require("captum.attr", extra="rivals")

    def cost(self, images: int, *, size: tuple[int, int] = (224, 224)) -> dict[str, int]:
        """Passes that so many images of this size take."""
        rows, columns = (1 + math.ceil(max(0, side - self.window) / self.stride) for side in size)
        return {"forward": images * (rows * columns + 1 + PREDICTIONS), "backward": 0}

    def _map(self, scored: ScoredNetwork, image: Tensor) -> Tensor:
        channels, height, width = image.shape[1:]
        window = (channels, min(self.window, height), min(self.window, width))
        # Where the window covers a side there is one place along it, whatever the stride.
        stride = (channels, min(self.stride, window[1]), min(self.stride, window[2]))
        found: Tensor = self.captum.Occlusion(scored).attribute(
            image,
            sliding_window_shapes=window,
            strides=stride,
            baselines=0.0,
            perturbations_per_eval=self.batch_size,
        )
        return found[0].mean(dim=0)


class _OnSuperpixels(OneByOne):
    """A linear model of the score over superpixels shown and hidden; its weights are the map."""

    def __init__(
        self,
        method: str,
        model: Model,
        *,
        samples: int,
        segments: int,
        seed: int,
        objective: str,
        batch_size: int,
        class_names: Sequence[str],
        **further: Any,
    ) -> None:
        check_whole("samples", samples, least=1)
        check_whole("segments", segments, least=2)
        check_whole("seed", seed, least=0)
        settings = {"samples": samples, "segments": segments, **further, "seed": seed}
        super().__init__(
            method, model, objective=objective, batch_size=batch_size, class_names=class_names, settings=settings
        )
        self.samples, self.segments = samples, segments
        self.captum = require("captum.attr", extra="rivals")
        for package in ("sklearn.linear_model", "skimage.segmentation"):
            require(package, extra="bench")

    def cost(self, images: int, *, size: tuple[int, int] = (224, 224)) -> dict[str, int]:
        """Passes that so many images take."""
        del size
        return {"forward": images * (self.samples + PREDICTIONS), "backward": 0}

    def _map(self, scored: ScoredNetwork, image: Tensor) -> Tensor:
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
    def _fitter(self, scored: ScoredNetwork) -> Any:
        """The method of captum."""


class LIME(_OnSuperpixels):
    """LIME (Ribeiro et al. 2016, eq. 1) on superpixels: a ridge regression, weighted towards the whole image.

    Samples show each superpixel with probability 1/2. Their weight is the paper's exponential kernel of the cosine
    distance between what is shown and everything. captum's own defaults are not usable on pictures: its kernel takes
    the Euclidean distance of all pixels, which makes every weight zero, and its lasso then every coefficient.

    Args:
        model: The network; no gradient is asked of it.
        samples: Masked images.
        segments: Superpixels wanted.
        kernel_width: Of the exponential kernel.
        ridge: Weight of the coefficients' squares in the regression.
        seed: Of the samples.
        objective: What a class index means.
        batch_size: Images in one pass at most.
        class_names: For the result.

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
        objective: str = "probability",
        batch_size: int = 32,
        class_names: Sequence[str] = (),
    ) -> None:
        check_share("kernel_width", kernel_width, one=True)
        check_share("ridge", ridge, zero=True, one=True)
        super().__init__(
            "lime",
            model,
            samples=samples,
            segments=segments,
            kernel_width=kernel_width,
            ridge=ridge,
            seed=seed,
            objective=objective,
            batch_size=batch_size,
            class_names=class_names,
        )
        self.kernel_width, self.ridge = kernel_width, ridge

    def _fitter(self, scored: ScoredNetwork) -> Any:
        linear = require("captum._utils.models.linear_model", extra="rivals")
        return self.captum.Lime(
            scored, interpretable_model=linear.SkLearnRidge(alpha=self.ridge), similarity_func=self._closeness
        )

    def _closeness(self, _image: Tensor, _masked: Tensor, shown: Tensor, **_options: Any) -> Tensor:
        """Weight of a sample, 1, from the superpixels it shows, 1 x M of zeros and ones."""
        distance = 1 - shown.float().mean(dim=1).sqrt()  # of the cosine with a vector of ones
        return (-(distance**2) / self.kernel_width**2).exp().sqrt()


class KernelSHAP(_OnSuperpixels):
    """Shapley values of superpixels by weighted least squares (Lundberg and Lee 2017, theorem 2).

    Args:
        model: The network; no gradient is asked of it.
        samples: Masked images; as many as superpixels at least, or the regression is not determined.
        segments: Superpixels wanted.
        seed: Of the samples.
        objective: What a class index means.
        batch_size: Images in one pass at most.
        class_names: For the result.

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
        seed: int = 0,
        objective: str = "probability",
        batch_size: int = 32,
        class_names: Sequence[str] = (),
    ) -> None:
        super().__init__(
            "kernelshap",
            model,
            samples=samples,
            segments=segments,
            seed=seed,
            objective=objective,
            batch_size=batch_size,
            class_names=class_names,
        )

    def _fitter(self, scored: ScoredNetwork) -> Any:
        return self.captum.KernelShap(scored)
