"""The modules of HDM: coarse masks, fine masks inside them, and the next module on what is left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from maskstack.masks.batches import Batches
from maskstack.masks.fills import Fills, blend, gaussian_blur
from maskstack.masks.grids import GridSize, check_sizes, fitting_sizes
from maskstack.masks.losses import TINY
from maskstack.masks.result import OnProgress, Progress, Score, SearchResult
from maskstack.masks.search import search
from maskstack.masks.settings import SearchSettings
from maskstack.masks.stack import minmax

BENCHMARK: tuple[GridSize, ...] = ((3, 3), (7, 7), (14, 14))
"""The coarse grids where none are asked for."""

AUXILIARY: tuple[GridSize, ...] = ((28, 28), (56, 56))
"""The fine grids where none are asked for."""

SURROUNDINGS = 0.15
"""Standard deviation of the blur that what was found is replaced with, as a share of the image's shorter side."""

OPENED = 2.0
"""A benchmark's map is multiplied by this, so that from half of its height on the fine masks see the image as it is."""

CLOSED = 0.05
"""Where the fine masks begin at least: at 0 itself a sigmoid has no gradient."""

GONE = (0.25, 0.5)
"""From which height to which a map's pixels are taken out, none of it below the first and all of it above the second.

What is lower may be a second region seen faintly, and has to stay for the next module.
"""


@dataclass(frozen=True)
class Plan:
    """How the modules search.

    Attributes:
        benchmark: Settings of a module's coarse search.
        auxiliary: Settings of its fine search.
        modules: Modules at most.
        least: Share of the activation below which nothing more is looked for.
        steps: Steps of a module, for both searches together.
    """

    benchmark: SearchSettings
    auxiliary: SearchSettings
    modules: int
    least: float
    steps: int

    @classmethod
    def of(
        cls,
        settings: SearchSettings,
        benchmark: Sequence[int | GridSize] | int,
        auxiliary: Sequence[int | GridSize] | int,
        *,
        modules: int,
        least: float,
    ) -> Plan:
        """Share the steps of a module's settings between its two searches.

        Raises:
            InputError: A size cannot be used.
        """
        half = (settings.steps + 1) // 2
        coarse = settings.with_(sizes=benchmark, steps=half)
        return cls(coarse, settings.with_(sizes=auxiliary, steps=half), modules, least, settings.steps)

    def fitting(self, image_size: tuple[int, int]) -> Plan:
        """The plan for images of this height and width: without the usual sizes that are too fine for them.

        Raises:
            InputError: A size that was asked for, or the coarsest of the usual ones, is larger than the image.
        """
        benchmark, auxiliary = (
            settings.with_(sizes=fitting_sizes(usual, image_size)) if settings.sizes == usual else settings
            for settings, usual in ((self.benchmark, BENCHMARK), (self.auxiliary, AUXILIARY))
        )
        check_sizes((*benchmark.sizes, *auxiliary.sizes), image_size)
        return replace(self, benchmark=benchmark, auxiliary=auxiliary)

    def as_dict(self) -> dict[str, Any]:
        """The options with which ``HDM`` makes this plan again, as JSON can hold them."""
        values = self.benchmark.as_dict()
        sizes = {"benchmark": values.pop("sizes"), "auxiliary": self.auxiliary.as_dict()["sizes"]}
        return {**sizes, "modules": self.modules, "least": self.least, **values, "steps": self.steps}

    def passes(self) -> dict[str, int]:
        """Forward and backward passes of one image at most."""
        forward = backward = 0
        for settings in (self.benchmark, self.auxiliary):
            steps = settings.steps * (1 if settings.joint else len(settings.sizes))
            backward += steps
            forward += steps + 2 + len(settings.fill) + len(settings.sizes)
        # Besides: under each module's map, on what each but the last leaves, and under all maps together.
        return {"forward": self.modules * (forward + 2), "backward": self.modules * backward}


class Modules:
    """The modules of one batch of B images; they are run once.

    Args:
        score: The activation to keep, of masked images and the indices of their originals.
        images: B x C x H x W, float32.
        plan: How to search.
        progress: Called after each step of each search; may end the modules by returning False.
    """

    def __init__(self, score: Score, images: Tensor, plan: Plan, progress: OnProgress | None) -> None:
        self.started = time.perf_counter()
        self.score, self.images, self.plan, self.progress = score, images, plan, progress
        self.stopped, self.steps_before = False, 0
        self.batches = Batches(plan.benchmark.batch_size)
        settings = plan.benchmark
        self.fill = Fills(settings.fill, images, blur=settings.blur, seed=settings.seed)(0)
        batch, _, height, width = images.shape
        self.maps = images.new_zeros(batch, plan.modules, height, width)
        self.weights = images.new_zeros(batch, plan.modules)
        self.under = images.new_zeros(batch, plan.modules)
        self.grids = [images.new_zeros(batch, *plan.auxiliary.sizes[-1]) for _ in range(plan.modules)]
        self.steps = torch.zeros(batch, plan.modules, dtype=torch.long, device=images.device)
        self.forward = torch.zeros(batch, dtype=torch.long, device=images.device)
        self.failed = torch.zeros(batch, dtype=torch.bool, device=images.device)

    def run(self) -> SearchResult:
        """What the modules found together; see :class:`maskstack.HDM` for what masks and grids are.

        Raises:
            ModelError: No gradient reaches the images, the images' own activation is not finite, or memory runs out.
        """
        working = torch.arange(len(self.images), device=self.images.device)
        left = self.images
        for number in range(self.plan.modules):
            working = self._module(number, left, working)
            if number + 1 == self.plan.modules or self.stopped or not len(working):
                break
            left, carries = self._left(working)
            working, left = working[carries], left[carries]
            if not len(working):
                break
        return self._result()

    def _module(self, number: int, left: Tensor, working: Tensor) -> Tensor:
        """Run a module on what is left of the images worked on, and say in which of them it found a region.

        Args:
            number: Of the module, from 0.
            left: What is left of the images, P x C x H x W.
            working: Their indices, P.

        Returns:
            Indices of the images whose region carries some of the activation.
        """
        coarse = self._search(left, working, self.plan.benchmark)
        if number == 0:
            self.reference = coarse
            self.under += coarse.hidden[0].unsqueeze(1)  # where there is no module, nothing is open
        guide = (OPENED * minmax(coarse.stack)).clamp(max=1)
        start = (guide * self.plan.auxiliary.start).clamp(min=CLOSED)
        fine = self._search(left, working, self.plan.auxiliary, start=start, limit=guide)
        found = fine.stack
        self.maps[working, number] = found
        self.grids[number][working] = fine.grids[-1]
        self.steps[working, number] = coarse.backward_passes + fine.backward_passes
        self.under[working, number] = under = self._scores(
            blend(found, self.images[working], self.fill[working]), working
        )
        self.failed[working] |= coarse.failed | fine.failed
        share = self._share(under, working)
        fits = (share >= self.plan.least) & ~self.failed[working] & (found.amax(dim=(1, 2)) > 0)
        # The first is kept whatever it is worth, as there has to be a map; later ones have to show what they are for.
        self.weights[working, number] = (
            torch.ones_like(share) if number == 0 else torch.where(fits, share.clamp(max=1), 0)
        )
        return working[fits]

    def _search(
        self,
        images: Tensor,
        working: Tensor,
        settings: SearchSettings,
        *,
        start: Tensor | None = None,
        limit: Tensor | None = None,
    ) -> SearchResult:
        def score(batch: Tensor, rows: Tensor) -> Tensor:
            return self.score(batch, working[rows])

        report = self.progress and self._report
        found = search(score, images, settings=settings, start=start, limit=limit, progress=report)
        self.forward[working] += found.forward_passes
        self.steps_before += settings.steps
        return found

    def _report(self, state: Progress) -> bool:
        """Hand a search's progress on as that of all modules."""
        assert self.progress is not None
        if not self.stopped:
            steps = self.plan.modules * (self.plan.benchmark.steps + self.plan.auxiliary.steps)
            self.stopped = self.progress(replace(state, step=self.steps_before + state.step, steps=steps)) is False
        return not self.stopped

    def _left(self, working: Tensor) -> tuple[Tensor, Tensor]:
        """What is left of some images, P x C x H x W, and in which of them it still carries enough, P."""
        images = self.images[working]
        taken = minmax(self.maps[working]) * (self.weights[working] > 0)[..., None, None]
        gone = ((taken.amax(dim=1) - GONE[0]) / (GONE[1] - GONE[0])).clamp(0, 1)
        left = blend(1 - gone, images, surroundings(images, gone))
        return left, self._share(self._scores(left, working), working) >= self.plan.least

    def _share(self, activation: Tensor, working: Tensor) -> Tensor:
        """Share of the way from the activation of nothing to the image's; 0 if nothing has as much as the image."""
        nothing = self.reference.hidden.amax(dim=0)[working]
        way = self.reference.before[working] - nothing
        return torch.where(way > TINY, (activation - nothing) / way.clamp_min(TINY), 0)

    def _scores(self, images: Tensor, working: Tensor) -> Tensor:
        """Activations without gradient, P, of images made from those of the indices ``working``."""
        every = torch.arange(len(images), device=images.device)
        self.forward[working] += 1
        with torch.no_grad():
            return torch.cat(self.batches.run(every, lambda chunk: self.score(images[chunk], working[chunk])))

    def _result(self) -> SearchResult:
        every = torch.arange(len(self.images), device=self.images.device)
        stack = (self.maps * self.weights[..., None, None]).amax(dim=1)
        under = self._scores(blend(stack, self.images, self.fill), every)
        return replace(
            self.reference,
            grids=tuple(self.grids),
            masks=self.maps,
            stack=stack,
            under_masks=self.under,
            under_stack=under,
            steps=self.steps,
            forward_passes=self.forward,
            backward_passes=self.steps.sum(dim=1),
            failed=self.failed,
            seconds=time.perf_counter() - self.started,
        )


def surroundings(images: Tensor, gone: Tensor) -> Tensor:
    """The images blurred, each pixel counting only as far as it is not gone.

    So the fill of a hole is made of what is round it, and holds no trace of what was in it.

    Args:
        images: B x C x H x W.
        gone: B x H x W in [0, 1].
    """
    kept = (1 - gone).unsqueeze(1)
    mean = images.mean(dim=(2, 3), keepdim=True)
    sigma = SURROUNDINGS * min(images.shape[-2:])
    # Towards the mean where all around is gone: what is divided by then is nearly nothing.
    weight = gaussian_blur(kept, sigma)
    return mean + gaussian_blur((images - mean) * kept, sigma) / (weight + 1e-3)
