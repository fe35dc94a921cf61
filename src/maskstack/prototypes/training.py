"""Training in stages, each finished one kept, so that a killed training goes on where it was."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from maskstack.prototypes.config import Config, StageConfig
from maskstack.prototypes.features import Features, Shuffled
from maskstack.prototypes.protopnet import ProtoPNet
from maskstack.prototypes.push import plain
from maskstack.prototypes.trainee import Trainee
from maskstack.prototypes.xprotonet import XProtoNet


def run_stage(
    network: ProtoPNet | XProtoNet,
    stage: StageConfig,
    train: Features,
    validation: Features,
    *,
    config: Config,
    number: int,
    folder: Path,
    progress: bool,
) -> None:
    """Train one stage in place, from its last finished epoch on if it was stopped; keep the best epoch's weights.

    Raises:
        KeyboardInterrupt: Ctrl-C; the epochs finished are kept.
    """
    settings = config.training
    seed = settings.seed * 1000 + number
    loader: Any = DataLoader(
        train,
        settings.batch_size,
        sampler=Shuffled(len(train), seed=seed),
        collate_fn=_as_it_is,
        drop_last=len(train) >= settings.batch_size,
    )
    judged: Any = DataLoader(plain(validation), settings.batch_size, collate_fn=_as_it_is)
    trainee = Trainee(
        network,
        stage,
        weights=settings.weights,
        multi_label=bool(config.data.labels),
        steps=stage.epochs * len(loader),
    )
    keeper = ModelCheckpoint(
        folder, filename="best", monitor="merit", mode="max", save_last=True, enable_version_counter=False
    )
    last = folder / "last.ckpt"
    with _quiet():
        trainer = lightning.Trainer(
            max_epochs=stage.epochs,
            callbacks=[keeper],
            logger=CSVLogger(folder, name="", version=""),
            deterministic=True,
            num_sanity_val_steps=0,
            enable_progress_bar=progress,
            enable_model_summary=False,
            log_every_n_steps=len(loader),
        )
        trainer.fit(trainee, loader, judged, ckpt_path=last if last.is_file() else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    state = torch.load(keeper.best_model_path, weights_only=True)["state_dict"]
    trainee.load_state_dict(state, strict=False)
    network.eval().requires_grad_(False)


def _as_it_is(batch: Any) -> Any:
    return batch


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Within, Lightning does not speak of what its users would have to know; determinism is put back afterwards."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "lightning")]
    levels = [logger.level for logger in loggers]
    deterministic = torch.are_deterministic_algorithms_enabled()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
