"""MDM: multiple dynamic masks (arXiv 2207.08046), as ``docs/method.md`` defines it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Unpack

import torch
from torch import Tensor

from maskstack import checks
from maskstack.defaults import with_usual_defaults
from maskstack.errors import InputError
from maskstack.explainers.from_search import checked, explanation_of
from maskstack.explainers.photos import takes_photos
from maskstack.explanation import Explanation
from maskstack.masks.grids import check_sizes, fitting_sizes, grids_for
from maskstack.masks.presets import Preset
from maskstack.masks.presets import preset as settings_named
from maskstack.masks.regions import regions_passes, search_regions
from maskstack.masks.result import OnProgress
from maskstack.masks.search import search
from maskstack.masks.settings import SearchOptions, SearchSettings
from maskstack.objectives import Meaning, Output, Target, contrast
from maskstack.reliability.measure import PASSES
from maskstack.scoring import Goal, Model, UserModel, check_images, scoring
from maskstack.scoring.captum import CaptumAttribution, check_options, only_input, read_target, seen_by_captum
from maskstack.scoring.contrast import CONTRAST_PASSES, class_pair, contrast_of


class MDM(CaptumAttribution):
    """Explains a network's outputs by learned masks of several sizes.

    Args:
        model: Any differentiable callable from images B x C x H x W, or volumes B x C x D x H x W, to an output,
            usually an ``nn.Module``; or what ``load_model`` returned. It comes back exactly as it was.
        preset: Name of the settings to start from: ``default``, ``fast``, ``fine``, ``single`` or ``paper``.
        objective: What an integer target means: ``probability``, ``log_probability``, ``logit`` or ``margin``.
        class_names: Names of the classes, for the result.
        output: Which of several outputs is explained, by its place or name; or what the output is, such as
            ``probabilities``, a name of :data:`maskstack.objectives.Kind`; or both, as ``NAME:KIND``. By default, this
            is found out at the first pass, and the result says it.
        **settings: Changes to the preset, see :class:`maskstack.SearchSettings`.

    Raises:
        InputError: A setting is unknown or out of range.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    >>> mdm = MDM(net, sizes=(2, 4), steps=3)
    >>> mdm(torch.rand(2, 3, 16, 24), 1).saliency.shape
    torch.Size([2, 1, 16, 24])
    """

    @with_usual_defaults
    def __init__(
        self,
        model: Model,
        *,
        preset: Preset = "default",
        objective: Meaning = "probability",
        class_names: Sequence[str] = (),
        output: Output = None,
        **settings: Unpack[SearchOptions],
    ) -> None:
        self.user_model = UserModel.of(model, meaning=objective, class_names=class_names, output=output)
        self.settings = settings_named(preset).with_(**settings)
        self.own_sizes = "sizes" in settings

    @takes_photos
    @with_usual_defaults
    def __call__(
        self,
        images: Tensor,
        objective: Goal = None,
        *,
        fill_image: Tensor | None = None,
        progress: OnProgress | None = None,
    ) -> Explanation:
        """Explain a batch.

        Args:
            images: B x C x H x W, or volumes and clips B x C x D x H x W; floating point, preprocessed for the network.
                For what ``load_model`` returned also a PIL image, the name of an image file, or a list of them.
            objective: An objective, a function from the network's output to one number per image, a class index or
                name, one per image, or None for each image's predicted class.
            fill_image: The fill of the name ``given``, which the settings then have to use.
            progress: Called after each step; may end the search by returning False.

        Raises:
            InputError: The images, the target or a setting cannot be used.
            ModelError: The network's output cannot be read, is not finite, or lets no gradient through.
        """
        self._check_fill(fill_image)
        check_images(images)
        settings = self.settings_for(tuple(images.shape[2:]))
        with scoring(self.user_model, images, objective, fold=True, **self.settings.running()) as scored:
            found = search(scored, scored.images, settings=settings, fill_image=fill_image, progress=progress)
            return explanation_of("mdm", scored, found, settings.as_dict()).to(images.device)

    @takes_photos
    @with_usual_defaults
    def regions(
        self,
        images: Tensor,
        objective: Goal = None,
        *,
        count: int = 3,
        keep: float = 0.5,
        fill_image: Tensor | None = None,
        progress: OnProgress | None = None,
    ) -> Explanation:
        """Explain a batch, and find several regions of each image that each suffice by themselves.

        Each region is the smallest that keeps its share of the score over two fills that no search uses, with a hard
        edge. No pixel belongs to two regions. One map may give several regions. When it gives no further one, the image
        is searched again outside of the regions found so far, so there are at most ``count`` searches.

        Args:
            images: B x C x H x W, floating point, preprocessed for the network.
            objective: See :meth:`__call__`.
            count: Number of regions at most.
            keep: Share of the score that each region has to keep, in (0, 1].
            fill_image: See :meth:`__call__`.
            progress: Called after each step of each search; may end the search for further regions by returning False.

        Returns:
            The explanation that :meth:`__call__` would give, with ``regions`` filled in.

        Raises:
            InputError: The images, the target, the number or the share cannot be used.
            ModelError: The network's output cannot be read, is not finite, or lets no gradient through.
        """
        checks.whole("count", count, least=1, most=100)
        checks.real("keep", keep, 0, 1, open_low=True)
        self._check_fill(fill_image)
        check_images(images)
        settings = self.settings_for(tuple(images.shape[2:]))
        with scoring(self.user_model, images, objective, fold=True, **self.settings.running()) as scored:
            found, regions = search_regions(
                scored,
                scored.images,
                settings=settings,
                count=count,
                keep=keep,
                fill_image=fill_image,
                progress=progress,
            )
            explanation = explanation_of("mdm", scored, found, settings.as_dict())
            return dataclasses.replace(explanation, regions=regions).to(images.device)

    @takes_photos
    @with_usual_defaults
    def contrast(
        self,
        images: Tensor,
        target: Target | str,
        against: Target | str,
        *,
        fill_image: Tensor | None = None,
        progress: OnProgress | None = None,
    ) -> Explanation:
        """Explain why the answer is class A and not class B, and find what would change it.

        The map is that of the objective ``contrast``: the logit of A minus that of B. Two regions are cut from it: the
        smallest whose hiding makes B the first class, and the smallest that keeps A before B when it is shown alone.
        Hidden pixels are replaced by the colours around them.

        Args:
            images: B x C x H x W, floating point, preprocessed for the network.
            target: Class A: a class index or name, one per image, or None for each image's predicted class.
            against: Class B: a class index or name, one per image, or None for the class that is the second.
            fill_image: See :meth:`__call__`.
            progress: Called after each step; may end the search by returning False.

        Returns:
            The explanation of the map, with ``contrast`` filled in.

        Raises:
            InputError: The images or a class cannot be used, or A and B are the same.
            ModelError: The network's output cannot be read, is not finite, or lets no gradient through.
        """
        self._check_fill(fill_image)
        check_images(images)
        named = self.user_model.classes(target), self.user_model.classes(against)
        own, other, passes = class_pair(self.user_model, images, *named, **self.settings.running())
        goal = contrast(own, other)
        settings = self.settings_for(tuple(images.shape[2:]))
        with scoring(self.user_model, images, goal, fold=True, **self.settings.running()) as scored:
            found = search(scored, scored.images, settings=settings, fill_image=fill_image, progress=progress)
            regions = contrast_of(scored, found.stack, own, other)
            explanation = explanation_of("mdm", scored, found, settings.as_dict())
            passes = passes + explanation.forward_passes
            return dataclasses.replace(explanation, contrast=regions, forward_passes=passes).to(images.device)

    @takes_photos
    @with_usual_defaults
    def check(
        self,
        images: Tensor,
        explanation: Explanation,
        objective: Goal = None,
        *,
        seeds: int = 1,
        randomize: bool = False,
        fill_image: Tensor | None = None,
    ) -> Explanation:
        """Measure how far the map depends on the seed and on what the network has learned, by further searches.

        Each further seed, and the randomised network, costs as much as the explanation itself.

        Args:
            images: The images that were explained.
            explanation: This MDM's explanation of them.
            objective: The objective that was explained; None means the explanation's classes.
            seeds: Seeds to compare, the explanation's own included; 1 leaves ``trust.seeds`` as it is.
            randomize: Whether to fill in ``trust.randomization``: compare with the network with random parameters in
                all layers (Adebayo et al. 2018). It stays NaN where that network's output is not finite.
            fill_image: The fill image that was given to the search, if any.

        Returns:
            The explanation with its trust filled in, and the passes and seconds added to its own.

        Raises:
            InputError: The images or the objective are not those explained, or the model is not a module with
                parameters to randomise.
        """
        goal = self.user_model.objective(explanation.target if objective is None else objective)

        def explained(seed: int) -> Explanation:
            return self._like(self.user_model.with_(None), seed=seed)(images, goal, fill_image=fill_image)

        return checked(self.model, images, explanation, goal, explained, seeds=seeds, randomize=randomize)

    @seen_by_captum
    def attribute(
        self,
        inputs: Tensor | tuple[Tensor],
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        **options: Any,
    ) -> Tensor | tuple[Tensor]:
        """The map in Captum's convention, so that its tools (NoiseTunnel, sensitivity_max, infidelity) can wrap it.

        Args:
            inputs: B x C x H x W, or a tuple of this one tensor.
            baselines: What replaces the image where a mask is closed: a number, or a tensor that broadcasts to the
                inputs; None for the fills of the settings.
            target: None, a class index, or one per image as a list or tensor; or an objective.
            additional_forward_args: Further arguments of the network: tensors with a row for each image, whose rows
                follow the images, and anything else, which is the same for all images.
            **options: Options of Captum's methods that do not change the result, such as ``show_progress``.

        Returns:
            The map repeated over the channels, of the shape and type of ``inputs``; a tuple if they were one.

        Raises:
            InputError: There is no such option, or a further argument has more or fewer rows than there are images.
        """
        check_options(options, ("inputs", "baselines", "target", "additional_forward_args"))
        if isinstance(inputs, tuple):
            images = only_input(inputs)
            baselines = only_input(baselines) if isinstance(baselines, tuple) else baselines
            return (self.attribute(images, baselines, target, additional_forward_args),)  # type: ignore[return-value]
        fill = None if baselines is None else torch.as_tensor(baselines, dtype=inputs.dtype, device=inputs.device)
        changes: SearchOptions = {} if fill is None else {"fill": ("given",)}
        mdm = self._like(self.user_model.with_(additional_forward_args), **changes)
        saliency = mdm(inputs.detach(), read_target(target), fill_image=fill).saliency
        return saliency.to(inputs.dtype).expand_as(inputs).clone()

    @property
    def model(self) -> Callable[[Tensor], Any]:
        """The network."""
        return self.user_model.model

    multiplies_by_inputs = False
    """Captum's flag: whether attributions are gradients times inputs."""

    @property
    def forward_func(self) -> Any:
        """The network, by Captum's name for it."""
        return self.model

    def has_convergence_delta(self) -> bool:
        """Captum's flag: whether attributions add up to the output; masks do not."""
        return False

    def cost(self, images: int, *, regions: int = 0, contrast: bool = False) -> dict[str, int]:
        """Maximum numbers of forward and backward passes for a number of images.

        Args:
            images: Number of images.
            regions: Number of regions that :meth:`regions` is asked for; 0 for the map alone.
            contrast: Whether it is :meth:`contrast` that is asked.
        """
        forward, backward = self.settings.passes()
        searches = max(regions, 1)
        own = searches * forward + regions_passes(regions) + (CONTRAST_PASSES if contrast else 0)
        return {"forward": images * (1 + own + PASSES), "backward": images * searches * backward}

    def settings_for(self, image_size: tuple[int, ...]) -> SearchSettings:
        """The settings, with a preset's sizes reduced to those that fit the image; requested sizes are kept.

        On volumes, sizes of two numbers get a depth, see :func:`maskstack.masks.grids.grids_for`.
        """
        sizes = self.settings.sizes
        if self.own_sizes:
            check_sizes(sizes, image_size)
        else:
            sizes = fitting_sizes(sizes, image_size)
        return self.settings.with_(sizes=grids_for(sizes, image_size))

    def _check_fill(self, fill_image: Tensor | None) -> None:
        if (fill_image is None) == ("given" in self.settings.fill):
            raise InputError("fill_image and fill='given' belong together; give both or neither")

    def _like(self, model: Any, **settings: Unpack[SearchOptions]) -> MDM:
        changed = self.settings.with_(**settings).as_dict()
        own = self.user_model
        like = MDM(model, objective=own.meaning, class_names=own.class_names, output=own.output, **changed)
        like.own_sizes = self.own_sizes
        return like
