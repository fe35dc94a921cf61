"""What the report shows of each network: tables, drawings and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from maskstack.draw.leaderboard_curves import CurvePanel, curve_panel
from maskstack.draw.scatter import QualityAtCost, Scatter, method_styles, scatter
from maskstack.leaderboard.columns import COLUMNS, COMPLEXITY, Column
from maskstack.leaderboard.comparison import Comparison, is_control
from maskstack.leaderboard.pictures import MapGallery
from maskstack.leaderboard.summary import MapCost, by_class, cost
from maskstack.leaderboard.verdict import Verdict, judge
from maskstack.runs.statistics import Bootstrap

_CURVES = {"insertion_wide": "share of pixels put back", "deletion_zero": "share of pixels removed"}


@dataclass(frozen=True)
class NetworkSection:
    """A network on the page."""

    comparison: Comparison
    verdict: Verdict
    quality: tuple[Column, ...]
    complexity: tuple[Column, ...]
    costs: Mapping[str, MapCost]
    by_class: Mapping[str, float]
    classes: int
    styles: Mapping[str, str]
    scatter: Scatter | None
    panels: tuple[CurvePanel, ...]
    gallery: MapGallery


def section(comparison: Comparison, gallery: MapGallery, bootstrap: Bootstrap) -> NetworkSection:
    """Everything that the page shows of a network."""
    means, classes = by_class(comparison)
    styles = _styles(comparison)
    return NetworkSection(
        comparison=comparison,
        verdict=judge(comparison),
        quality=tuple(column for column in comparison.columns if column.kind != COMPLEXITY),
        complexity=tuple(column for column in comparison.columns if column.kind == COMPLEXITY),
        costs={method: cost(comparison, method) for method in comparison.methods},
        by_class=means,
        classes=classes,
        styles=styles,
        scatter=scatter(_quality_at_cost(comparison, bootstrap), styles),
        panels=_panels(comparison, styles),
        gallery=gallery,
    )


def _styles(comparison: Comparison) -> dict[str, str]:
    """A style for each method: the reference has the first, then come the methods by rank."""
    ranked = [method for method in comparison.methods if not is_control(method)]
    ranked.sort(key=lambda method: method != comparison.reference)
    return method_styles(ranked, [method for method in comparison.methods if is_control(method)])


def _quality_at_cost(comparison: Comparison, bootstrap: Bootstrap) -> list[QualityAtCost]:
    """Insertion minus deletion and the passes of a map, for each method that has both."""
    quality = comparison.network.quality
    found: list[QualityAtCost] = []
    if quality is None:
        return found
    for method in comparison.methods:
        own = quality[comparison.network.methods.index(method)]
        own, passes = own[np.isfinite(own)], cost(comparison, method).passes
        if len(own) and passes is not None:
            low, high = bootstrap.intervals(own[None])[0]
            found.append(QualityAtCost(method, passes, float(own.mean()), float(low), float(high)))
    return found


def _panels(comparison: Comparison, styles: Mapping[str, str]) -> tuple[CurvePanel, ...]:
    """Insertion and deletion curves side by side; empty if neither was measured."""
    return tuple(
        curve_panel(_mean_curves(comparison, metric), styles, title=COLUMNS[metric].label, x_label=x_label)
        for metric, x_label in _CURVES.items()
        if metric in comparison.network.curves
    )


def _mean_curves(comparison: Comparison, metric: str) -> dict[str, list[float]]:
    """Mean curve of each method, in the order of drawing: controls first, the reference on top of all others."""
    network = comparison.network
    order = sorted(comparison.methods, key=lambda method: (method == comparison.reference, not is_control(method)))
    means: dict[str, list[float]] = {}
    for method in order:
        own = network.curves[metric][network.methods.index(method)]
        own = own[np.isfinite(own).all(axis=1)]
        if len(own):
            means[method] = own.mean(axis=0, dtype=np.float64).tolist()
    return means
