"""The features of every view of every image at the backbone's cut, computed once and kept in a file."""

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
from maskstack.files import parse_json, write_whole
from maskstack.models import open_photo
from maskstack.prototypes.backbone import Backbone
from maskstack.prototypes.splits import Example
from maskstack.prototypes.views import draw_view
from maskstack.tensor_files import digest_of

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Features at the cut, features of the unchanged images, the views' warps, labels."""


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
    """Compute the features of all views; those of an interrupted run are read.

    Args:
        folder: Where the file is kept.
        backbone: The backbone; only its stem runs. Other weights of it mean another file.
        examples: N images.
        preprocess: From a picture to the network's input.
        views: V, the number of augmented views in addition to the unchanged image.
        seed: Seed of the views.
        identity: Identifies the stem's layers and the preprocessing; another value means another file.
        advance: Called with the number of images done since the last call.

    Raises:
        InputError: A picture cannot be read.
        OutputError: The file cannot be written.
    """
    drawn = [[draw_view(seed, example.name, number) for number in range(views + 1)] for example in examples]
    contents = [(example.name, hashlib.sha256(example.path.read_bytes()).hexdigest()) for example in examples]
    weights = digest_of(backbone.stem.state_dict(), {})
    digest = hashlib.sha256(json.dumps([identity, weights, contents, views, seed]).encode()).hexdigest()[:16]
    file, count = folder / f"features-{digest}.npy", folder / f"features-{digest}.json"
    done = _done(file, count)
    values = None
    try:
        for index in range(done, len(examples)):
            image = preprocess(open_photo(examples[index].path))
            with torch.no_grad():
                cut = backbone.stem(torch.stack([view(image) for view in drawn[index]])).numpy()
            if values is None:
                values = allocated(file, (len(examples), *cut.shape), anew=done == 0)
            values[index] = cut
            advance(1)
            if index % 20 == 19 or index == len(examples) - 1:
                values.flush()
                _write_count(count, index + 1)
    except OSError as error:
        raise OutputError(f"cannot write features to {folder}: {error.strerror or error}; free space there") from error
    warps = torch.stack([torch.stack([view.theta for view in one]) for one in drawn])
    return Features(np.load(file, mmap_mode="r"), warps, torch.tensor([example.label for example in examples]))


@torch.no_grad()
def bytes_of_a_view(backbone: Backbone, image: Tensor) -> int:
    """How many bytes the features of a view, C x H x W, take in the file."""
    size: int = 4 * backbone.stem(image.unsqueeze(0)).numel()
    return size


def allocated(file: Path, shape: tuple[int, ...], *, anew: bool) -> Any:
    """An array of float32 in a file, whose space is reserved; the values of an earlier one unless ``anew``."""
    file.parent.mkdir(parents=True, exist_ok=True)
    mode: Any = "w+" if anew else "r+"
    values = np.lib.format.open_memmap(file, mode=mode, dtype=np.float32, shape=shape)
    if anew and hasattr(os, "posix_fallocate"):
        # The space is reserved at once: a full disk would later end the process instead of raising an error.
        with file.open("r+b") as whole:
            os.posix_fallocate(whole.fileno(), 0, file.stat().st_size)
    return values


def _done(file: Path, count: Path) -> int:
    """Number of images that an earlier run finished; 0 if its file is damaged."""
    try:
        values = np.load(file, mmap_mode="r")
        done = int(parse_json(count.read_text())["images"])
        return done if 0 <= done <= len(values) and values.dtype == np.float32 else 0
    # A damaged header is Python text, which numpy reads with ast.literal_eval.
    except (OSError, ValueError, LookupError, TypeError, SyntaxError, EOFError, OverflowError, MemoryError):
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
        plain_only: Whether the augmented views are left out.
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
    """All numbers in an order that depends only on the seed and the epoch, so a resumed epoch has the same order.

    Args:
        count: How many numbers.
        seed: Seed of the orders.
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
