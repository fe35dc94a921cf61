"""What a run writes: a row for each metric of each map."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

FAILED = "failed"
"""Takes the place of the metric in the only row of a group that could not be measured at all."""

Key = tuple[str, str, str, str]
"""Model, method, image and group: what is finished as a whole."""


@dataclass(frozen=True)
class Measured:
    """The value of a metric on one map.

    Attributes:
        metric: Name of the metric.
        value: The value; None if the metric does not apply or failed.
        protocol: How it was measured, as JSON can hold it.
        curve: The values of the curve that it is computed from, if there is one.
        failure: Why there is no value.
    """

    metric: str
    value: float | None
    protocol: Mapping[str, Any] = field(default_factory=dict)
    curve: tuple[float, ...] | None = None
    failure: str | None = None


@dataclass(frozen=True)
class ResultRow:
    """A measured value with the map that it belongs to, as it is stored.

    Attributes:
        model: Name of the network.
        method: Method with its options, as on the command line.
        image: Name of the image within its data set.
        group: Group of metrics that the value belongs to.
        metric: Name of the metric.
        value: The value; None if there is none, with the reason in ``failure``.
        protocol: How it was measured, as JSON.
        target: Class index that was explained.
        curve: The values of the curve that it is computed from, if there is one.
        forward: Images sent forward to make the map.
        backward: Images sent backward.
        seconds: Wall time of making the map.
        failure: Why there is no value.
    """

    model: str
    method: str
    image: str
    group: str
    metric: str
    value: float | None
    protocol: str = "{}"
    target: int | None = None
    curve: tuple[float, ...] | None = None
    forward: int = 0
    backward: int = 0
    seconds: float = 0.0
    failure: str | None = None

    @property
    def key(self) -> Key:
        """What the row is a part of."""
        return self.model, self.method, self.image, self.group


def result_rows(
    values: Iterable[Measured], key: Key, *, target: int, forward: int, backward: int, seconds: float
) -> list[ResultRow]:
    """The rows of one map.

    Args:
        values: What was measured.
        key: Model, method, image and group.
        target: Index of the class, or number of the prototype, that was explained.
        forward: Images sent forward to make the map.
        backward: Images sent backward.
        seconds: Wall time of making the map.
    """
    cost = {"target": target, "forward": forward, "backward": backward, "seconds": seconds}
    # A row has all that was measured, its protocol as text.
    return [
        ResultRow(*key, **{**vars(value), **cost, "protocol": json.dumps(dict(value.protocol))}) for value in values
    ]
