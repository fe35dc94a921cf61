"""What the frozen part of the backbone makes of every view of every image, computed once and kept in a file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from maskstack.errors import OutputError
from maskstack.files import write_whole
from maskstack.models import open_photo
from maskstack.prototypes.backbone import Backbone
from maskstack.prototypes.splits import Example
from maskstack.prototypes.views import draw_view

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Features at the cut, of the image as it is, the views' warps, labels."""


def cached_features(
    folder: Path,
    backbone: Backbone,
    examples: Sequence[Example],
    preprocess: Callable[[Image.Image], Tensor],
    *,
    views: int,
    seed: int,
    identity: str,
    advance: Callable[[int], object] = lambda _images: None,
) -> Features:
    """Compute the features of all views, or what of them a stopped run has not.

    Args:
        folder: Where the file is kept.
        backbone: Its stem is run.
        examples: N images.
        preprocess: From a picture to what the network takes.
        views: V, augmented views beside the image as it is.
        seed: Of the views.
        identity: Says which stem and preprocessing these are; other features get another file.
        advance: Called with the number of images done since the last call.

    Raises:
        InputError: A picture cannot be read.
        OutputError: The file cannot be written.
    """
    drawn = [[draw_view(seed, example.name, number) for number in range(views + 1)] for example in examples]
    contents = [(example.name, hashlib.sha256(example.path.read_bytes()).hexdigest()) for example in examples]
    digest = hashlib.sha256(json.dumps([identity, contents, views, seed]).encode()).hexdigest()[:16]
    file, count = folder / f"features-{digest}.npy", folder / f"features-{digest}.json"
    done = _done(file, count)
    values = None
    try:
        for index in range(done, len(examples)):
            image = preprocess(open_photo(examples[index].path))
            with torch.no_grad():
                cut = backbone.stem(torch.stack([view(image) for view in drawn[index]])).numpy()
            if values is None:
                values = _opened(file, (len(examples), *cut.shape), anew=done == 0)
            values[index] = cut
            advance(1)
            if index % 20 == 19 or index == len(examples) - 1:
                values.flush()
                _write_count(count, index + 1)
    except OSError as error:
        raise OutputError(f"cannot keep features in {folder}: {error.strerror or error}; make room there") from error
    warps = torch.stack([torch.stack([view.theta for view in one]) for one in drawn])
    return Features(np.load(file, mmap_mode="r"), warps, torch.tensor([example.label for example in examples]))


def _opened(file: Path, shape: tuple[int, ...], *, anew: bool) -> Any:
    file.parent.mkdir(parents=True, exist_ok=True)
    mode: Any = "w+" if anew else "r+"
    values = np.lib.format.open_memmap(file, mode=mode, dtype=np.float32, shape=shape)
    if anew and hasattr(os, "posix_fallocate"):
        # Taken up at once: a disk that is full later would end the process rather than raise an error.
        with file.open("r+b") as whole:
            os.posix_fallocate(whole.fileno(), 0, file.stat().st_size)
    return values


def _done(file: Path, count: Path) -> int:
    """How many images a run before this one has finished; none where its file is not whole."""
    try:
        np.load(file, mmap_mode="r")
        return int(json.loads(count.read_text())["images"])
    except (OSError, ValueError, LookupError, TypeError):
        return 0


def _write_count(count: Path, images: int) -> None:
    write_whole(count, lambda path: path.write_text(json.dumps({"images": images})))


@dataclass(frozen=True, eq=False)
class Features(Dataset[Batch]):
    """Cached features, read a batch at a time; number ``i`` is view ``i % V`` of image ``i // V``.

    Attributes:
        values: N x V x C x h x w, on disk.
        warps: N x V x 2 x 3.
        labels: N x K.
        plain_only: Whether only images as they are count.
    """

    values: Any
    warps: Tensor
    labels: Tensor
    plain_only: bool = False

    def __len__(self) -> int:
        return len(self.labels) * (1 if self.plain_only else self.warps.shape[1])

    def __getitems__(self, numbers: Sequence[int]) -> Batch:
        """A batch."""
        several = 1 if self.plain_only else self.warps.shape[1]
        image, view = np.divmod(np.asarray(numbers), several)
        cut = torch.from_numpy(self.values[image, view])
        plain = torch.from_numpy(self.values[image, np.zeros_like(view)])
        return cut, plain, self.warps[image, view], self.labels[image]

    def __getitem__(self, number: int) -> Batch:
        return self.__getitems__([number])


class Shuffled(Sampler[int]):
    """All numbers in an order that depends on the seed and the epoch alone, so that a resumed epoch has its own.

    Args:
        count: Of numbers.
        seed: Of the orders.
    """

    def __init__(self, count: int, *, seed: int) -> None:
        self.count, self.seed, self.epoch = count, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Any:
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        return iter(torch.randperm(self.count, generator=generator).tolist())
