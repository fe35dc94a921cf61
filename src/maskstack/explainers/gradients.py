"""Methods that average gradients on a path to the image or around it; they wrap captum's methods.

Each map is the mean over the channels of the attribution's absolute value, as in Smilkov et al. 2017, section 3.1.
The sign of a pixel's attribution depends on whether the pixel is light or dark, not on whether it is evidence.
"""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from maskstack import checks
from maskstack.errors import require
from maskstack.explainers.base import MapOptions, OneByOne, gradient_expected
from maskstack.scoring import Model, ScoredModel
from maskstack.tensors import gaussian_blur


class IntegratedGradients(OneByOne):
    """Gradients averaged on the straight path from a zero image, times the image (Sundararajan et al. 2017, eq. 1).

    Args:
        model: The network.
        steps: Number of points on the path, by Gauss-Legendre quadrature.
        **options: See :class:`maskstack.explainers.base.MapExplainer`.

    Raises:
        InputError: An option is out of range.
        MissingExtraError: captum is not installed.
    """

    takes_volumes = True

    def __init__(self, model: Model, *, steps: int = 50, **options: Unpack[MapOptions]) -> None:
        checks.whole("steps", steps, least=1)
        super().__init__("ig", model, {"steps": steps}, forward=steps, backward=steps, meaning="logit", **options)
        self.steps = steps
        self.captum = require("captum.attr", extra="rivals")

    def _map(self, scored: ScoredModel, image: Tensor) -> Tensor:
        with gradient_expected():
            found: Tensor = self.captum.IntegratedGradients(scored).attribute(
                image, baselines=0.0, n_steps=self.steps, internal_batch_size=self.batch_size
            )
        return _size(found)


class SmoothGrad(OneByOne):
    """The gradient averaged over noisy copies of the image (Smilkov et al. 2017, section 3.2).

    Args:
        model: The network.
        samples: Number of noisy copies.
        noise: Standard deviation of the noise as a share of the image's range, ``max - min`` over all channels.
        seed: Seed of the noise.
        **options: See :class:`maskstack.explainers.base.MapExplainer`.

    Raises:
        InputError: An option is out of range.
        MissingExtraError: captum is not installed.
    """

    takes_volumes = True

    def __init__(
        self, model: Model, *, samples: int = 25, noise: float = 0.15, seed: int = 0, **options: Unpack[MapOptions]
    ) -> None:
        checks.whole("samples", samples, least=1)
        checks.whole("seed", seed, least=0)
        checks.share("noise", noise, zero=True, one=True)
        settings = {"samples": samples, "noise": noise, "seed": seed}
        super().__init__("smoothgrad", model, settings, forward=samples, backward=samples, meaning="logit", **options)
        self.samples, self.noise = samples, noise
        self.captum = require("captum.attr", extra="rivals")

    def _map(self, scored: ScoredModel, image: Tensor) -> Tensor:
        tunnel = self.captum.NoiseTunnel(self.captum.Saliency(scored))
        with gradient_expected():
            found: Tensor = tunnel.attribute(
                image,
                nt_type="smoothgrad",
                nt_samples=self.samples,
                nt_samples_batch_size=self.batch_size,
                stdevs=float(self.noise * (image.amax() - image.amin())),
                # captum's default makes each sample's gradient absolute before the mean; the paper averages gradients.
                abs=False,
            )
        return _size(found)


class GradientSHAP(OneByOne):
    """Gradients at random points on the paths from baselines to the image (expected gradients; Lundberg and Lee 2017).

    The baselines are the zero image and the blurred image. With the zero image alone, the method would only be
    integrated gradients with another quadrature.

    Args:
        model: The network.
        samples: Number of random points; each draws its baseline.
        blur: Standard deviation of the blurred baseline as a share of the image's shorter side.
        noise: Standard deviation of noise on the image, as a share of its range.
        seed: Seed of the random numbers.
        **options: See :class:`maskstack.explainers.base.MapExplainer`.

    Raises:
        InputError: An option is out of range.
        MissingExtraError: captum is not installed.
    """

    takes_volumes = True

    def __init__(
        self,
        model: Model,
        *,
        samples: int = 25,
        blur: float = 0.045,
        noise: float = 0.0,
        seed: int = 0,
        **options: Unpack[MapOptions],
    ) -> None:
        checks.whole("samples", samples, least=1)
        checks.whole("seed", seed, least=0)
        checks.share("blur", blur, zero=True, one=True)
        checks.share("noise", noise, zero=True, one=True)
        settings = {"samples": samples, "blur": blur, "noise": noise, "seed": seed}
        super().__init__("gradientshap", model, settings, forward=samples, backward=samples, meaning="logit", **options)
        self.samples, self.blur, self.noise = samples, blur, noise
        self.captum = require("captum.attr", extra="rivals")

    def _map(self, scored: ScoredModel, image: Tensor) -> Tensor:
        blurred = gaussian_blur(image, self.blur * min(image.shape[2:]))
        baselines = torch.cat([torch.zeros_like(image), blurred])
        shap = self.captum.GradientShap(scored)
        total = torch.zeros_like(image)
        # captum runs all samples in one pass, so the batch size has to limit the samples of each call.
        for start in range(0, self.samples, self.batch_size):
            several = min(self.batch_size, self.samples - start)
            stdev = float(self.noise * (image.amax() - image.amin()))
            with gradient_expected():
                found = shap.attribute(image.clone(), baselines=baselines, n_samples=several, stdevs=stdev)
            total += found.detach() * several
        return _size(total / self.samples)


def _size(attribution: Tensor) -> Tensor:
    """Map, H x W, of an attribution, 1 x C x H x W; see the docstring of this module."""
    return attribution[0].abs().mean(dim=0)
