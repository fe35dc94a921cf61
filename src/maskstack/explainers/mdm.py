"""MDM: multiple dynamic masks (arXiv 2207.08046), as ``docs/method.md`` defines it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from maskstack.errors import InputError
from maskstack.explainers.captum_convention import only, read_target, seen_by_captum, with_arguments
from maskstack.explainers.checks import checked
from maskstack.explainers.doubts import doubts
from maskstack.explainers.inputs import check_images
from maskstack.explainers.network import Network
from maskstack.explainers.subject import Model, Subject, bind, versions
from maskstack.explainers.trust import PASSES, with_trust
from maskstack.explainers.untouched import device_of, untouched
from maskstack.explanation import Explanation
from maskstack.masks.grids import check_sizes, fitting_sizes
from maskstack.masks.presets import preset as settings_named
from maskstack.masks.result import OnProgress, SearchResult
from maskstack.masks.search import search
from maskstack.masks.settings import SearchSettings
from maskstack.masks.stack import minmax
from maskstack.objectives import Objective, Target


class MDM:
    """Explains a network's answers by learned masks of several sizes.

    Args:
        model: Any differentiable callable from images B x C x H x W to an output, usually an ``nn.Module``; or what
            ``load_model`` returned. It comes back exactly as it was.
        preset: Name of the settings to start from: ``default``, ``fast``, ``fine`` or ``paper``.
        objective: What an integer target means: ``probability``, ``log_probability``, ``logit`` or ``margin``.
        class_names: Names of the classes, for the result.
        **settings: Changes to the preset, see :class:`maskstack.masks.SearchSettings`.

    Raises:
        InputError: A setting is unknown or out of range.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    >>> mdm = MDM(net, sizes=(2, 4), steps=3)
    >>> mdm(torch.rand(2, 3, 16, 24), 1).saliency.shape
    torch.Size([2, 1, 16, 24])
    """

    def __init__(
        self,
        model: Model,
        *,
        preset: str = "default",
        objective: str = "probability",
        class_names: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        self.subject = Subject.of(model, objective=objective, class_names=class_names)
        self.settings = settings_named(preset).with_(**settings)
        self.own_sizes = "sizes" in settings

    def __call__(
        self,
        images: Tensor,
        objective: Objective | Callable[[Any], Tensor] | Target = None,
        *,
        fill_image: Tensor | None = None,
        progress: OnProgress | None = None,
    ) -> Explanation:
        """Explain a batch.

        Args:
            images: B x C x H x W, floating point, as the network takes them.
            objective: An objective, a function from the network's output to one number per image, a class index, one
                class index per image, or None for each image's predicted class.
            fill_image: The fill of the name ``given``, which the settings then have to use.
            progress: Called after each step; may end the search by returning False.

        Raises:
            InputError: The images, the target or a setting cannot be used.
            ModelError: The network's output cannot be read, is not finite, or lets no gradient through.
        """
        check_images(images)
        settings = self.settings_for((images.shape[2], images.shape[3]))
        if (fill_image is None) == ("given" in settings.fill):
            raise InputError("fill_image and fill='given' belong together; give both or neither")
        goal = self.subject.goal(objective)
        with untouched(self.model):
            network = self._network(images)
            moved = images.to(device_of(self.model, images))
            bound = bind(network, moved, goal, batch_size=self.settings.batch_size)
            moved = moved.float()

            def score(batch: Tensor, rows: Tensor) -> Tensor:
                return bound.select(rows)(network(batch))

            found = search(score, moved, settings=settings, fill_image=fill_image, progress=progress)
            explanation = self._explanation(found, bound, images.device, network, settings)
            return with_trust(explanation, score, moved, batch_size=self.settings.batch_size)

    def check(
        self,
        images: Tensor,
        explanation: Explanation,
        objective: Objective | Callable[[Any], Tensor] | Target = None,
        *,
        seeds: int = 1,
        randomize: bool = False,
        fill_image: Tensor | None = None,
    ) -> Explanation:
        """Measure what a further search tells of an explanation's trust: one for each seed, one for a random network.

        Args:
            images: Those explained.
            explanation: What this MDM made of them.
            objective: What was explained; None stands for the explanation's classes.
            seeds: Seeds to compare, the explanation's own included; 1 leaves ``trust.seeds`` as it is.
            randomize: Whether to fill in ``trust.randomization``.
            fill_image: As it was given to the search.

        Returns:
            The explanation with its trust filled in, and the passes and seconds added to its own.

        Raises:
            InputError: The images or the objective are not those explained, or the network has no parameters to make
                random.
        """
        goal = self.subject.goal(explanation.target if objective is None else objective)
        if len(images) != len(explanation) or goal.name != explanation.objective:
            raise InputError(
                f"the explanation is of {len(explanation)} images and of {explanation.objective}, not of {len(images)} "
                f"and {goal.name}; give what was explained"
            )
        return checked(
            explanation,
            lambda seed: self._like(self.model, seed=seed)(images, goal, fill_image=fill_image),
            self.model,
            seeds=seeds,
            randomize=randomize,
        )

    @seen_by_captum
    def attribute(
        self,
        inputs: Tensor | tuple[Tensor],
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        **_options: Any,
    ) -> Tensor | tuple[Tensor]:
        """The map in Captum's convention, so that its tools (NoiseTunnel, sensitivity_max, infidelity) can wrap it.

        Args:
            inputs: B x C x H x W, or a tuple of this one tensor.
            baselines: What shows where a mask is closed: a number, or a tensor that broadcasts to the inputs. None
                leaves the settings' fills.
            target: None, a class index, or one per image as a list or tensor; or an objective.
            additional_forward_args: Further arguments of the network, the same for all images.
            **_options: Ignored, as Captum's wrappers pass options of their own.

        Returns:
            The map repeated over the channels, of the shape and type of ``inputs``; a tuple if they were one.
        """
        if isinstance(inputs, tuple):
            (images,) = only(inputs)
            baselines = only(baselines)[0] if isinstance(baselines, tuple) else baselines
            return (self.attribute(images, baselines, target, additional_forward_args),)  # type: ignore[return-value]
        with untouched(self.model):
            fill = None if baselines is None else torch.as_tensor(baselines, dtype=inputs.dtype, device=inputs.device)
            changes = {} if fill is None else {"fill": ("given",)}
            mdm = self._like(with_arguments(self.model, additional_forward_args), **changes)
            saliency = mdm(inputs.detach(), read_target(target), fill_image=fill).saliency
        return saliency.to(inputs.dtype).expand_as(inputs).clone()

    @property
    def model(self) -> Callable[[Tensor], Any]:
        """The network."""
        return self.subject.model

    multiplies_by_inputs = False
    """Captum's question whether attributions are gradients times inputs."""

    @property
    def forward_func(self) -> Any:
        """The network, by Captum's name for it."""
        return self.model

    def has_convergence_delta(self) -> bool:
        """Captum's question whether attributions add up to the output; masks do not."""
        return False

    def cost(self, images: int) -> dict[str, int]:
        """Forward and backward passes that a batch takes at most, counted in images."""
        settings = self.settings
        steps = settings.steps * (1 if settings.joint else len(settings.sizes))
        around = 3 + len(settings.fill) + len(settings.sizes) + PASSES
        return {"forward": images * (steps + around), "backward": images * steps}

    def _like(self, model: Any, **settings: Any) -> MDM:
        changed = self.settings.with_(**settings).as_dict()
        subject = self.subject
        like = MDM(model, objective=subject.objective, class_names=subject.class_names, **changed)
        like.own_sizes = self.own_sizes
        return like

    def settings_for(self, image_size: tuple[int, int]) -> SearchSettings:
        """The settings, of a preset's sizes those that fit the image; sizes that were asked for stay as they are."""
        sizes = self.settings.sizes
        if self.own_sizes:
            check_sizes(sizes, image_size)
            return self.settings
        return self.settings.with_(sizes=fitting_sizes(sizes, image_size))

    def _network(self, images: Tensor) -> Network:
        settings = self.settings
        return Network(
            self.model,
            dtype=images.dtype,
            precision=settings.precision,
            channels_last=settings.channels_last,
            fold=settings.fold,
            compile=settings.compile,
        )

    def _explanation(
        self, found: SearchResult, bound: Objective, device: torch.device, network: Network, settings: SearchSettings
    ) -> Explanation:
        target = None if bound.targets is None else tuple(bound.targets)
        return Explanation(
            saliency=minmax(found.stack).unsqueeze(1).to(device),
            stack=found.stack.unsqueeze(1).to(device),
            masks=found.masks.to(device),
            grids=tuple(grid.to(device) for grid in found.grids),
            method="mdm",
            objective=bound.name,
            target=target,
            target_name=self.subject.names(bound),
            score_before=found.before.to(device),
            score_hidden=found.hidden.to(device),
            score_under_masks=found.under_masks.to(device),
            score_under_stack=found.under_stack.to(device),
            steps=found.steps.to(device),
            forward_passes=(found.forward_passes + 1).to(device),  # and the prediction
            backward_passes=found.backward_passes.to(device),
            seconds=found.seconds,
            settings=settings.as_dict(),
            versions=versions(found.stack.device) | {"passes": network.way},
            degenerate=tuple(doubts(found)),
        )
