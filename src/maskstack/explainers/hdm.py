"""HDM: modules of guided masks, each without the regions found before (arXiv 2301.04970, see ``docs/method.md``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

from torch import Tensor

from maskstack import checks
from maskstack.defaults import with_usual_defaults
from maskstack.errors import InputError
from maskstack.explainers.from_search import explanation_of
from maskstack.explainers.mdm import MDM
from maskstack.explainers.photos import takes_photos
from maskstack.explanation import Explanation
from maskstack.masks.grids import GridSize
from maskstack.masks.modules import AUXILIARY, BENCHMARK, Plan, search_modules
from maskstack.masks.presets import Preset
from maskstack.masks.result import OnProgress
from maskstack.masks.settings import SearchOptions
from maskstack.objectives import Meaning, Output
from maskstack.reliability.measure import PASSES
from maskstack.scoring import Goal, Model, UserModel, check_images, scoring


class HDM:
    """Explains a network's outputs by several modules; each searches the image without the regions found before.

    A module first learns coarse *benchmark* grids, then fine *auxiliary* ones inside what the benchmark opened. The
    region it found is removed from the image, and the next module searches again. In some cases this shows a second
    instance of a class brightly, where a single search leaves it faint because the first instance suffices.

    In the explanation, ``masks``, ``grids`` (the finest auxiliary ones), ``score_under_masks`` and ``steps`` have one
    entry a module. Masks and steps are zero where an image took fewer modules: ``(explanation.steps > 0).sum(dim=1)``
    counts the modules of each image.

    Args:
        model: Any differentiable callable from images B x C x H x W to an output, usually an ``nn.Module``; or what
            ``load_model`` returned. It comes back exactly as it was.
        benchmark: Sizes of the coarse grids, in cells. Default sizes that are too fine for an image are left out.
        auxiliary: Sizes of the fine grids, likewise.
        modules: Modules at most.
        least: An image is done when the image without the found regions keeps less than this share of the score.
        preset: Name of the settings to start from, see :class:`MDM`.
        objective: What an integer target means: ``probability``, ``log_probability``, ``logit`` or ``margin``.
        class_names: Names of the classes, for the result.
        output: Which output is explained, and what it is, see :class:`MDM`.
        **settings: Changes to the preset, see :class:`maskstack.masks.SearchSettings`. ``steps`` are those of a module,
            half of them for each of its searches; ``removal_every`` is 0 unless given here.

    Raises:
        InputError: A setting is unknown or out of range.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    >>> hdm = HDM(net, benchmark=(2, 4), auxiliary=8, steps=4)
    >>> hdm(torch.rand(2, 3, 16, 24), 1).masks.shape
    torch.Size([2, 3, 16, 24])
    """

    @with_usual_defaults
    def __init__(
        self,
        model: Model,
        *,
        benchmark: Sequence[int | GridSize] | int = BENCHMARK,
        auxiliary: Sequence[int | GridSize] | int = AUXILIARY,
        modules: int = 3,
        least: float = 0.05,
        preset: Preset = "single",
        objective: Meaning = "probability",
        class_names: Sequence[str] = (),
        output: Output = None,
        **settings: Unpack[SearchOptions],
    ) -> None:
        checks.whole("modules", modules, least=1)
        checks.share("least", least)
        if "sizes" in settings:
            raise InputError(
                "HDM has no setting sizes; set benchmark for its coarse grids and auxiliary for its fine grids"
            )
        # A module has to find one sufficient part; later modules search for others, so no removal loss is needed.
        settings.setdefault("removal_every", 0)
        self.mdm = MDM(model, preset=preset, objective=objective, class_names=class_names, output=output, **settings)
        if "given" in self.mdm.settings.fill:
            raise InputError(
                "HDM cannot use the fill 'given', because its modules change the image; choose another fill"
            )
        self.plan = Plan.of(self.mdm.settings, benchmark, auxiliary, modules=modules, least=least)

    @takes_photos
    @with_usual_defaults
    def __call__(
        self,
        images: Tensor,
        objective: Goal = None,
        *,
        progress: OnProgress | None = None,
    ) -> Explanation:
        """Explain a batch.

        Args:
            images: B x C x H x W, floating point, preprocessed for the network; or, for what ``load_model`` returned, a
                PIL image, the name of an image file, or a list of them.
            objective: An objective, a function from the network's output to one number per image, a class index or
                name, one per image, or None for each image's predicted class.
            progress: Called after each step of each search, with the images still worked on in its preview; may end
                the modules by returning False.

        Raises:
            InputError: The images, the target or a setting cannot be used.
            ModelError: The network's output cannot be read, is not finite, or lets no gradient through.
        """
        mdm = self.mdm
        check_images(images)
        plan = self.plan.fitting(tuple(images.shape[2:]))
        with scoring(mdm.user_model, images, objective, fold=True, **mdm.settings.running()) as scored:
            found = search_modules(scored, scored.images, plan, progress)
            return explanation_of("hdm", scored, found, plan.as_dict()).to(images.device)

    @property
    def user_model(self) -> UserModel:
        """The network, with its preprocessing where that is known."""
        return self.mdm.user_model

    @property
    def model(self) -> Callable[[Tensor], Any]:
        """The network."""
        return self.mdm.model

    def cost(self, images: int) -> dict[str, int]:
        """Maximum numbers of forward and backward passes for a number of images."""
        passes = self.plan.passes()
        around = 1 + PASSES  # the prediction, and the passes that measure trust
        return {"forward": images * (passes["forward"] + around), "backward": images * passes["backward"]}
