"""Before a photo is explained: its prediction, and the choice of the classes to explain."""

from __future__ import annotations

import re

import torch
from PIL import Image
from torch import Tensor

from maskstack.errors import InputError
from maskstack.geometry import LITTLE, of_photo
from maskstack.jobs.photos import read_output
from maskstack.jobs.progress import JobReporter
from maskstack.models import LoadedModel, find_class, said_of
from maskstack.models.preprocess import Preprocess
from maskstack.reliability.verdict import PROBABILITY
from maskstack.scoring.predict import prediction


def top_count(target: str) -> int | None:
    """The number in ``top5`` and similar targets; None for a class name or index.

    >>> top_count("top5"), top_count("Tiger cat")
    (5, None)
    """
    found = re.fullmatch(r"top([0-9]{1,6})", target.strip().lower())
    return int(found.group(1)) if found else None


def read_target(target: str, net: LoadedModel) -> tuple[int | None, int]:
    """The class to explain, or None for each photo's best ones, and the number of classes to explain.

    Raises:
        InputError: There is no such class.
    """
    count = top_count(target)
    return (find_class(net.class_names, target), 1) if count is None else (None, count)


def predict(
    net: LoadedModel,
    photo: Image.Image,
    target: str,
    *,
    device: torch.device,
    label: str,
    shown: int,
    reporter: JobReporter,
    output: str = "",
) -> tuple[Tensor, list[int]]:
    """Predict a photo's class, report the best classes, and choose the classes to explain.

    Args:
        net: The network.
        photo: The photo.
        target: Class name or index, or ``top5`` with any number.
        device: Where the network is.
        label: The photo's name in the report.
        shown: Number of classes to report.
        reporter: Receives them.
        output: Which output is read, and what it is; empty to find out.

    Returns:
        The network's input, C x H x W, and the indices of the classes.

    Raises:
        InputError: The network does not have the class, or has fewer classes than requested.
    """
    image = net.preprocess(photo).to(device)
    said = said_of(photo)
    _warn_of_crop(net, photo, label, reporter)
    return image, choose(net, image, target, label=label, said=said, shown=shown, reporter=reporter, output=output)


def _warn_of_crop(net: LoadedModel, photo: Image.Image, label: str, reporter: JobReporter) -> None:
    """Report that the network sees little of a photo."""
    place = net.geometry(photo)
    if place is None or place.seen_share >= LITTLE:
        return
    ours = isinstance(net.preprocess, Preprocess)
    reporter.warn(
        f"{label}: the network sees only {'the middle ' if ours else ''}{of_photo(place.seen_share)} of the photo; "
        "cut out the part that matters"
        + (", or add crop=squash to the spec, which distorts the whole photo to the network's input" if ours else "")
    )


def choose(
    net: LoadedModel,
    image: Tensor,
    target: str,
    *,
    label: str,
    said: str = "",
    shown: int = 5,
    reporter: JobReporter,
    output: str = "",
) -> list[int]:
    """Predict the class of a network's input, report the best classes, and choose the classes to explain.

    Args:
        net: The network.
        image: Its input, C x H x W or C x D x H x W.
        target: Class name or index, or ``top5`` with any number.
        label: The photo's name in the report.
        said: What was decided when its file was opened.
        shown: Number of classes to report.
        reporter: Receives them.
        output: Which output is read, and what it is; empty to find out.

    Returns:
        The indices of the classes.

    Raises:
        InputError: The network does not have the class, or has fewer classes than requested.
    """
    index, count = read_target(target, net)
    if said:
        reporter.warn(f"{label}: {said.replace('page=', '--page')}")
    found = prediction(net, image.unsqueeze(0), output=read_output(output))
    reporter.output(found.reading.words(), found.reading.doubt)
    scores = found.values[0]
    if found.reading.kind == "number":
        reporter.numbers(label, scores.tolist())
        return [_which_number(index, count, len(scores))]
    best = scores.topk(min(shown, len(scores)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    reporter.predictions(label, [(net.class_name(index), probability) for index, probability in pairs])
    if index is not None and index >= len(scores):
        raise InputError(f"target {index} is out of range; the network has classes 0 to {len(scores) - 1}")
    if index is None and not 1 <= count <= len(scores):
        raise InputError(f"--target top{count} asks for {count} classes; the network has {len(scores)}")
    chosen = scores.topk(count).indices.tolist() if index is None else [index]
    for each in chosen:
        if scores[each] < PROBABILITY:
            share = f"{float(scores[each]):.1%}"
            reporter.warn(f"{label}: {net.class_name(each)} has a probability of only {share}, so its map says little")
    return chosen


def _which_number(index: int | None, count: int, numbers: int) -> int:
    """The number to explain, of a network that gives numbers."""
    if index is None and numbers == 1 and count > 1:
        raise InputError(f"the network's output is a number, not class scores; leave out --target top{count}")
    if index is None and numbers > 1:
        raise InputError(
            f"the network's output is {numbers} numbers, not class scores; give one by its index, --target 0 to "
            f"{numbers - 1}, or --output logits if these are class scores"
        )
    if not 0 <= (index or 0) < numbers:
        has = f"numbers 0 to {numbers - 1}" if numbers > 1 else "a single number, 0"
        raise InputError(f"target {index} is out of range; the network has {has}")
    return index or 0


def warn_of_network(name: str, net: LoadedModel, reporter: JobReporter) -> None:
    """Report that the maps of an untrained network mean nothing, and what was assumed about a network's input."""
    if net.assumed:
        reporter.warn(f"{name}: {net.assumed}")
    if net.weights == "random":
        reporter.warn(f"{name} has random weights: its maps mean nothing; give trained weights as weights=FILE")
