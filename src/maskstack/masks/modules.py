"""The modules of HDM: each learns coarse masks, then fine masks inside them, on the image without earlier regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from maskstack.batches import Batches
from maskstack.masks.fills import Fills
from maskstack.masks.grids import GridSize, check_sizes, fitting_sizes, grids_for
from maskstack.masks.losses import Reference
from maskstack.masks.result import OnProgress, Progress, Score, SearchResult
from maskstack.masks.scores import image_scores, open_stack, score_of
from maskstack.masks.search import search
from maskstack.masks.settings import SearchSettings
from maskstack.reliability.measure import pooled
from maskstack.tensors import TINY, blend, gaussian_blur, minmax

BENCHMARK: tuple[GridSize, ...] = ((3, 3), (7, 7), (14, 14))
"""Default sizes of the coarse grids."""

AUXILIARY: tuple[GridSize, ...] = ((28, 28), (56, 56))
"""Default sizes of the fine grids."""

SURROUNDINGS = 0.15
"""Standard deviation of the blur that replaces a region already found, as a share of the image's shorter side."""

GUIDE_FACTOR = 2.0
"""A benchmark's map, scaled to [0, 1], is multiplied by this, so that fine masks are not limited from 0.5 upwards."""

LEAST_START = 0.05
"""Least starting value of the fine masks: at 0 itself a sigmoid has no gradient."""

REMOVAL_RANGE = (0.25, 0.5)
"""Where the map is below the first value, the pixel stays; above the second it is removed; between them, partly.

Low values may be a faint second region, which has to stay for the next module.
"""


@dataclass(frozen=True)
class Plan:
    """How the modules search.

    Attributes:
        benchmark: Settings of a module's coarse search.
        auxiliary: Settings of its fine search.
        modules: Maximum number of modules.
        least: Share of the score below which the search stops.
        whole: Settings of a module, whose steps are those of both searches together.
    """

    benchmark: SearchSettings
    auxiliary: SearchSettings
    modules: int
    least: float
    whole: SearchSettings

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
        # Only what the modules found together is opened.
        each = settings.with_(steps=half, keep=0.0)
        return cls(each.with_(sizes=benchmark), each.with_(sizes=auxiliary), modules, least, settings)

    def fitting(self, image_size: tuple[int, ...]) -> Plan:
        """The plan for images of these sides, without the default sizes that are too fine for them.

        Raises:
            InputError: A requested size, or the coarsest default size, is larger than the image.
        """
        benchmark, auxiliary = (
            settings.with_(sizes=fitting_sizes(usual, image_size)) if settings.sizes == usual else settings
            for settings, usual in ((self.benchmark, BENCHMARK), (self.auxiliary, AUXILIARY))
        )
        benchmark, auxiliary = (
            settings.with_(sizes=grids_for(settings.sizes, image_size)) for settings in (benchmark, auxiliary)
        )
        check_sizes((*benchmark.sizes, *auxiliary.sizes), image_size)
        return replace(self, benchmark=benchmark, auxiliary=auxiliary)

    def as_dict(self) -> dict[str, Any]:
        """The options with which ``HDM`` makes this plan again, as JSON can hold them."""
        sizes = {name: getattr(self, name).as_dict()["sizes"] for name in ("benchmark", "auxiliary")}
        values = {name: value for name, value in self.whole.as_dict().items() if name != "sizes"}
        return {**sizes, "modules": self.modules, "least": self.least, **values}

    def passes(self) -> dict[str, int]:
        """Maximum numbers of forward and backward passes for one image."""
        searches = [settings.passes() for settings in (self.benchmark, self.auxiliary)]
        # Also scored: each module's map, the image left by each module but the last, and all maps together.
        forward = sum(forward for forward, _ in searches) + 2
        backward = sum(backward for _, backward in searches)
        return {"forward": self.modules * forward + self.whole.opening_passes, "backward": self.modules * backward}


def search_modules(score: Score, images: Tensor, plan: Plan, progress: OnProgress | None = None) -> SearchResult:
    """Search a batch of B images in modules; each searches the images without the regions of the modules before it.

    Args:
        score: The score to keep, of masked images and the indices of their originals.
        images: B x C x H x W, float32.
        plan: How to search.
        progress: Called after each step of each search; may end the modules by returning False.

    Returns:
        What the modules found together; see :class:`maskstack.HDM` for what masks and grids are.

    Raises:
        ModelError: No gradient reaches the images, the images' own score is not finite, or memory runs out.
    """
    settings, modules = plan.benchmark, plan.modules
    batches = Batches(settings.batch_size)
    fill = Fills(settings.fill, images, blur=settings.blur, seed=settings.seed)(0)
    report = None if progress is None else _JoinedProgress(progress, plan)
    batch, _, *sides = images.shape
    maps = images.new_zeros(batch, modules, *sides)
    weights, under = images.new_zeros(batch, modules), images.new_zeros(batch, modules)
    grids = [images.new_zeros(batch, *plan.auxiliary.sizes[-1]) for _ in range(modules)]
    steps = torch.zeros(batch, modules, dtype=torch.long, device=images.device)
    failed = torch.zeros(batch, dtype=torch.bool, device=images.device)
    reference: Reference | None = None
    left, working = images, torch.arange(batch, device=images.device)
    for number in range(modules):
        coarse, fine = _search_module(score, left, working, plan, report)
        if reference is None:
            reference = Reference.of(coarse.before, coarse.hidden)
            under += coarse.hidden[:, :1]  # where there is no module, nothing is open
        maps[working, number] = fine.stack
        grids[number][working] = fine.grids[-1]
        steps[working, number] = _steps(coarse, plan.benchmark) + _steps(fine, plan.auxiliary)
        shown = blend(fine.stack, images[working], fill[working])
        under[working, number] = image_scores(score, shown, batches, working)
        failed[working] |= coarse.failed | fine.failed
        share = _share(under[working, number], reference.select(working))
        found = (share >= plan.least) & ~failed[working] & (fine.stack.flatten(1).amax(dim=1) > 0)
        # The first is always kept, because there has to be a map; later ones have to improve it.
        first = torch.ones_like(share)
        weights[working, number] = first if number == 0 else torch.where(found, share.clamp(max=1), 0)
        working = working[found]
        if number + 1 == modules or (report is not None and report.stopped) or not len(working):
            break
        left = _without(images[working], maps[working], weights[working])
        share = _share(image_scores(score, left, batches, working), reference.select(working))
        carries = share >= plan.least
        working, left = working[carries], left[carries]
        if not len(working):
            break
    assert reference is not None  # there is at least one module
    found_together = (maps * _wide(weights, maps)).amax(dim=1)
    stack, opening = open_stack(score, images, found_together, reference, fill, plan.whole)
    return SearchResult(
        grids=tuple(grids),
        masks=maps,
        stack=stack,
        opening=opening,
        members=pooled(stack.unsqueeze(1)),  # modules look for different regions, so they are not members
        spread=torch.zeros_like(stack),
        before=reference.before,
        hidden=reference.hidden,
        under_masks=under,
        under_stack=image_scores(score, blend(stack, images, fill), batches),
        steps=steps,
        failed=failed,
    )


def _search_module(
    score: Score, left: Tensor, working: Tensor, plan: Plan, report: _JoinedProgress | None
) -> tuple[SearchResult, SearchResult]:
    """A module's coarse search on the remaining images, and its fine search inside the mask that it opened.

    Args:
        score: Scores masked images, given the indices of their originals.
        left: The images with earlier regions removed, P x C x H x W.
        working: Their indices, P.
        plan: How to search.
        report: Where progress goes.
    """
    own_score = score_of(score, working)
    coarse = search(own_score, left, settings=plan.benchmark, progress=_within(report, plan.benchmark))
    guide = (GUIDE_FACTOR * minmax(coarse.stack, dims=left.ndim - 2)).clamp(max=1)
    start = (guide * plan.auxiliary.start).clamp(min=LEAST_START)
    report_fine = _within(report, plan.auxiliary)
    fine = search(own_score, left, settings=plan.auxiliary, start=start, mask_cap=guide, progress=report_fine)
    return coarse, fine


def _within(report: _JoinedProgress | None, settings: SearchSettings) -> _JoinedProgress | None:
    """The report of a search with these settings, which now begins."""
    if report is not None:
        report.done, report.own = report.done + report.own, settings.steps
    return report


@dataclass
class _JoinedProgress:
    """Reports the progress of each search as that of all modules."""

    progress: OnProgress
    plan: Plan
    done: int = 0
    own: int = 0
    stopped: bool = False

    def __call__(self, state: Progress) -> bool:
        if not self.stopped:
            steps = self.plan.modules * (self.plan.benchmark.steps + self.plan.auxiliary.steps)
            # A search in several groups counts the steps of each; all of them together are this search's own steps.
            step = self.done + -(-state.step * self.own // state.steps)
            self.stopped = self.progress(replace(state, step=step, steps=steps)) is False
        return not self.stopped


def _steps(found: SearchResult, settings: SearchSettings) -> Tensor:
    """Steps that each image took: those of its joint problem, or of the problems of all sizes."""
    return found.steps[:, 0] if settings.joint else found.steps.sum(dim=1)


def _without(images: Tensor, maps: Tensor, weights: Tensor) -> Tensor:
    """Images, P x C x H x W, with the modules' regions removed, by maps, P x M x H x W, and weights, P x M."""
    taken = minmax(maps, dims=maps.ndim - 2) * _wide(weights > 0, maps)
    removed = ((taken.amax(dim=1) - REMOVAL_RANGE[0]) / (REMOVAL_RANGE[1] - REMOVAL_RANGE[0])).clamp(0, 1)
    return blend(1 - removed, images, surroundings(images, removed))


def _wide(weights: Tensor, maps: Tensor) -> Tensor:
    """A weight for each map, P x M, with the dimensions of the maps, P x M x H x W."""
    return weights.reshape(*weights.shape, *[1] * (maps.ndim - 2))


def _share(scores: Tensor, reference: Reference) -> Tensor:
    """Score as a share: 0 is the best score of a fill alone, 1 the image's; 0 if a fill scores as high as the image."""
    nothing = reference.hidden.amax(dim=1)
    way = reference.before - nothing
    return torch.where(way > TINY, (scores - nothing) / way.clamp_min(TINY), 0)


def surroundings(images: Tensor, removed: Tensor) -> Tensor:
    """Blur images; a removed pixel has no weight in the blur, and a partly removed pixel has a reduced weight.

    A removed region is thus filled from its surroundings, without using its own pixels.

    Args:
        images: B x C x H x W.
        removed: B x H x W in [0, 1].
    """
    kept = (1 - removed).unsqueeze(1)
    mean = images.mean(dim=tuple(range(2, images.ndim)), keepdim=True)
    sigma = SURROUNDINGS * min(images.shape[2:])
    # Where everything around is removed, the weight is nearly 0 and the fill tends to the mean.
    weight = gaussian_blur(kept, sigma)
    return mean + gaussian_blur((images - mean) * kept, sigma) / (weight + 1e-3)
