"""Training of one stage. Finished epochs are kept, so that an interrupted training can resume."""

from __future__ import annotations

import contextlib
import signal
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from maskstack.errors import InputError, OutputError, quiet
from maskstack.prototypes.config import Config, StageConfig
from maskstack.prototypes.epochs import WholeCheckpoints, latest
from maskstack.prototypes.features import Features, Shuffled
from maskstack.prototypes.protopnet import ProtoPNet
from maskstack.prototypes.push import plain
from maskstack.prototypes.stage_module import StageModule
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
    """Train one stage in place, and keep the weights of its best epoch. An interrupted stage resumes.

    It runs on the CPU, like everything else here: with several GPUs Lightning would start the command again for each,
    and XProtoNet's consistency loss has no deterministic gradient on CUDA.

    Raises:
        InputError: The training diverged.
        OutputError: The folder cannot be written to.
        KeyboardInterrupt: Ctrl-C; finished epochs are kept.
    """
    settings = config.training
    seed = settings.seed * 1000 + number
    loader: Any = DataLoader(
        train,
        settings.batch_size,
        sampler=Shuffled(len(train), seed=seed),
        collate_fn=_unchanged,
        drop_last=len(train) >= settings.batch_size,
    )
    validating: Any = DataLoader(plain(validation), settings.batch_size, collate_fn=_unchanged)
    module = StageModule(
        network, stage, weights=settings.weights, multi_label=bool(config.data.labels), steps=stage.epochs * len(loader)
    )
    resumed = latest(folder)
    with _quiet():
        trainer = lightning.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=stage.epochs,
            callbacks=_keepers(folder),
            plugins=WholeCheckpoints(),
            logger=CSVLogger(folder, name="", version=""),
            deterministic=True,
            num_sanity_val_steps=0,
            enable_progress_bar=progress,
            enable_model_summary=False,
            log_every_n_steps=len(loader),
        )
        try:
            trainer.fit(module, loader, validating, ckpt_path=resumed, weights_only=True)
        except SystemExit as error:  # Lightning raises it after Ctrl-C
            raise KeyboardInterrupt from error
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f"cannot write to {folder}: {error.strerror or error}; free space there") from error
    state = torch.load(folder / "best.ckpt", weights_only=True)["state_dict"]
    module.load_state_dict(state, strict=False)
    network.eval().requires_grad_(False)
    if not all(bool(values.isfinite().all()) for values in network.parameters()):
        raise InputError(
            f"the stage {stage.name} diverged: some weights of its best epoch are not finite; reduce its learning "
            "rates, and choose another --out"
        )


class _Best(ModelCheckpoint):
    """Keeps the best epoch, also if the folder of the run was moved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score, with the paths of the current folder."""
        here = str(Path(str(self.dirpath)) / "best.ckpt")
        best = state_dict["best_model_score"]
        moved = {"dirpath": self.dirpath, "best_model_path": here, "best_k_models": {here: best}}
        super().load_state_dict({**state_dict, **moved, "kth_best_model_path": here})


def _keepers(folder: Path) -> list[Callback]:
    """Callbacks that keep the best epoch, and the last epoch, from which an interrupted stage resumes."""
    best = _Best(folder, filename="best", monitor="merit", mode="max", enable_version_counter=False)
    return [best, ModelCheckpoint(folder, filename="last", monitor=None, enable_version_counter=False)]


def _unchanged(batch: Any) -> Any:
    return batch


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Inside the context, Lightning prints no messages; afterwards torch's determinism and Ctrl-C work as before."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    on_interrupt = signal.getsignal(signal.SIGINT) if _in_main_thread() else None
    try:
        with quiet("lightning.pytorch", "lightning.fabric", "lightning"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        if on_interrupt is not None:
            signal.signal(signal.SIGINT, on_interrupt)  # Lightning leaves a handler that ignores Ctrl-C.


def _in_main_thread() -> bool:
    """Whether signals may be set."""
    return threading.current_thread() is threading.main_thread()
