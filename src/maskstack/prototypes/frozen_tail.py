"""Stages that leave the backbone's tail frozen: it runs once for each view, and its output is kept in a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from maskstack.errors import OutputError
from maskstack.files import write_whole
from maskstack.prototypes.config import StageConfig
from maskstack.prototypes.features import Features, allocated
from maskstack.prototypes.protopnet import ProtoPNet
from maskstack.prototypes.xprotonet import XProtoNet
from maskstack.tensor_files import digest_of

BATCH = 64


def trains_tail(network: ProtoPNet | XProtoNet, stage: StageConfig) -> bool:
    """Whether a stage changes the backbone's tail."""
    has_weights = next(network.backbone.tail.parameters(), None) is not None
    return stage.name == "joint" and stage.backbone_rate > 0 and has_weights


@contextmanager
def tail_run_once(
    network: ProtoPNet | XProtoNet, stage: StageConfig, features: Sequence[Features], *, folder: Path
) -> Iterator[Sequence[Features]]:
    """Inside the context the network has no tail, and the features are those behind it.

    A stage that trains the tail, has a single epoch, or a network without a tail is left as it is.

    Args:
        network: Its tail is put back on exit, also after an error.
        stage: The stage that is trained inside the context.
        features: Features at the cut.
        folder: Where the output of the tail is kept until the stage is over; of an interrupted stage it is read.

    Yields:
        The features for the stage.

    Raises:
        OutputError: The file cannot be written.
    """
    tail = network.backbone.tail
    if isinstance(tail, nn.Identity) or stage.epochs < 2 or trains_tail(network, stage):
        yield features
        return
    identity = digest_of(tail.state_dict(), {})[:12]
    files = [folder / f"tail-{identity}-{Path(each.values.filename).name}" for each in features]
    behind = [_behind(tail, each, file) for each, file in zip(features, files, strict=True)]
    network.backbone.tail = nn.Identity()
    try:
        yield behind
    finally:
        network.backbone.tail = tail
    for file in files:
        with suppress(OSError):  # some systems keep a file that is still mapped into memory
            file.unlink()


def _behind(tail: nn.Module, features: Features, file: Path) -> Features:
    """The features behind the tail, computed or, after an interruption, read."""
    if (kept := _read(file, features)) is None:
        write_whole(file, lambda beside: _compute(tail, features.values, beside))
        kept = np.load(file, mmap_mode="r")
    return replace(features, values=kept)


def _read(file: Path, features: Features) -> Any:
    try:
        values = np.load(file, mmap_mode="r")
    # A damaged header is Python text, which numpy reads with ast.literal_eval.
    except (OSError, ValueError, SyntaxError, EOFError, OverflowError, MemoryError):
        return None
    return values if values.shape[:2] == features.values.shape[:2] and values.dtype == np.float32 else None


@torch.no_grad()
def _compute(tail: nn.Module, cuts: Any, file: Path) -> None:
    count, views = cuts.shape[:2]
    values = None
    try:
        for start in range(0, count * views, BATCH):
            image, view = np.divmod(np.arange(start, min(start + BATCH, count * views)), views)
            output = tail(torch.from_numpy(cuts[image, view])).numpy()
            if values is None:
                values = allocated(file, (count, views, *output.shape[1:]), anew=True)
            values[image, view] = output
    except OSError as error:
        raise OutputError(
            f"cannot write features to {file.parent}: {error.strerror or error}; free space there"
        ) from error
    values.flush()  # type: ignore[union-attr]  # there are images
