"""What would change the answer from class A to class B, cut from a map and checked by doing it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from maskstack import objectives
from maskstack.batches import Batches
from maskstack.errors import InputError, ModelError
from maskstack.objectives import Reading, Target
from maskstack.objectives.classification import class_indices, class_name
from maskstack.objectives.objective import check_classes, class_rows
from maskstack.reliability.cuts import AREAS, PIECES, cuts, with_pieces
from maskstack.reliability.evidence import Contrast
from maskstack.reliability.fills import spread_colours
from maskstack.scoring.scored_model import ScoredModel
from maskstack.scoring.session import scoring
from maskstack.scoring.user_model import UserModel

CONTRAST_PASSES = 2 + 1 + (1 + PIECES) * len(AREAS) + len(AREAS) + 1
"""Most forward passes of a contrast: two for its classes, the image, its cuts and their pieces hidden, its cuts shown,
and one more."""


def class_pair(
    user_model: UserModel, images: Tensor, target: Target, against: Target, **running: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """The classes A and B of each image, the first and the second class where they are not given, and the passes.

    Args:
        user_model: The network.
        images: B x C x H x W.
        target: Class A.
        against: Class B.
        **running: How the network is run: options of :func:`maskstack.scoring.scoring`.

    Returns:
        Class A, class B and the number of forward passes of each image, B each.

    Raises:
        InputError: The two are the same class, one is not a class, or their numbers do not fit the images.
        ModelError: The network's output has no classes, or a single one.
    """
    with scoring(user_model, images, objectives.class_probability(0), **running) as scored:
        best = _probabilities(scored, scored.images, torch.arange(len(images), device=scored.images.device)).cpu()
    reading = _reading(scored)
    if best.shape[1] < 2:
        raise ModelError("the network has a single class, so there is no second one; explain its output instead")
    own = best.argmax(dim=1) if target is None else _one_each("target", target, len(images), reading)
    if against is None:
        other = best.scatter(1, own.unsqueeze(1), -1).argmax(dim=1)
    else:
        other = _one_each("against", against, len(images), reading)
    for row, (one, two) in enumerate(zip(own.tolist(), other.tolist(), strict=True)):
        if one == two:
            name = class_name(user_model.class_names, one)
            raise InputError(f"image {row} is to be explained as {name} against {name}; give two classes")
    return own, other, scored.forward_passes


def contrast_of(scored: ScoredModel, maps: Tensor, own: Tensor, other: Tensor) -> Contrast:
    """Cut the regions of a contrast from maps, and check them by doing it, in one pass for each candidate region.

    What is hidden is a cut of the map or a connected piece of one: a cut often takes evidence for B along with that for
    A, and then a third class is the first. What is shown is a cut.

    Args:
        scored: The network, on the images.
        maps: B x H x W.
        own: Class A of each image, B.
        other: Class B of each image, B.
    """
    images, pairs = scored.images, torch.stack([own, other], dim=1).to(scored.images.device)
    every = torch.arange(len(images), device=images.device)
    before = _probabilities(scored, images, every).gather(1, pairs)
    found: dict[str, list[Tensor]] = {name: [] for name in ("hiding", "hidden", "first", "speaking", "shown")}
    for row, (image, pair) in enumerate(zip(images, pairs, strict=True)):
        wholes = cuts(maps[row])
        candidates = with_pieces(wholes)
        rows = torch.full((len(candidates),), row, device=images.device)
        hidden = _probabilities(scored, _showing(image, ~candidates), rows)
        turned, away = hidden.argmax(dim=1) == pair[1], hidden.argmax(dim=1) != pair[0]
        at = _first(turned) if turned.any() else _first(away)
        found["hiding"].append(candidates[at] if at is not None else torch.zeros_like(wholes[0]))
        after = hidden[at] if at is not None else _probabilities(scored, image.unsqueeze(0), rows[:1])[0]
        found["hidden"].append(after[pair])
        found["first"].append(after.argmax())
        shown = _probabilities(scored, _showing(image, wholes), rows[: len(wholes)])
        at = _first((shown.argmax(dim=1) == pair[0]) & (shown[:, pair[0]] > shown[:, pair[1]]))
        found["speaking"].append(wholes[at] if at is not None else torch.zeros_like(wholes[0]))
        found["shown"].append(shown[at][pair] if at is not None else torch.full_like(before[row], torch.nan))
    stacked = {name: torch.stack(values) for name, values in found.items()}
    return Contrast(target=pairs[:, 0], against=pairs[:, 1], before=before, **stacked)


def _showing(image: Tensor, shown: Tensor) -> Tensor:
    """An image, C x H x W, with only some pixels shown, N x H x W; the others take the colours around them."""
    images, shown = image.expand(len(shown), *image.shape), shown.unsqueeze(1)
    return torch.where(shown, images, spread_colours(images, shown))


@torch.no_grad()
def _probabilities(scored: ScoredModel, images: Tensor, rows: Tensor) -> Tensor:
    """Probabilities of all classes, N x K, of images made from those of these indices; passes are counted."""
    every = torch.arange(len(images), device=images.device)
    outputs = Batches(scored.batch_size).run(every, lambda chunk: scored.output(images[chunk], rows[chunk]))
    reading = _reading(scored)
    return reading.probabilities(torch.cat([class_rows(output, reading) for output in outputs]))


def _reading(scored: ScoredModel) -> Reading:
    reading = scored.objective.reading
    assert reading is not None  # objectives of classes are bound to a reading
    return reading


def _first(found: Tensor) -> int | None:
    places = found.nonzero()
    return int(places[0]) if len(places) else None


def _one_each(name: str, target: Any, images: int, reading: Reading) -> Tensor:
    values = class_indices(name, target)
    if len(values) not in (1, images):
        several = "" if images == 1 else "s"
        raise InputError(f"{len(values)} values of {name} for {images} image{several}; give one, or one per image")
    check_classes(name, values, reading)
    return values.cpu().expand(images)
