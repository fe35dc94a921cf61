"""The checkpoints of finished epochs: written whole or not at all, and the one before the newest is kept."""

from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from maskstack.files import write_whole

LAST, BEST, BEFORE = "last.ckpt", "best.ckpt", "before.ckpt"
"""The last epoch, the best one, and the one before the last."""


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's checkpoints, each written whole or not at all; the previous one is kept beside it."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint.

        Raises:
            OutputError: The file cannot be written.
        """
        del storage_options
        content = io.BytesIO()
        torch.save(checkpoint, content)
        path = Path(path)
        if path.name == LAST and _is_whole(path):
            before = path.with_name(BEFORE)
            with contextlib.suppress(OSError):
                before.unlink(missing_ok=True)
                before.hardlink_to(path)
        write_whole(path, lambda file: file.write_bytes(content.getbuffer()))

    def remove_checkpoint(self, path: Any) -> None:
        """Lightning removes the previous file of the same name before it writes; here it is replaced instead."""


def latest(folder: Path) -> Path | None:
    """The newest checkpoint of an interrupted stage that is not damaged; None if the stage begins anew.

    A damaged best epoch cannot be found again, so the stage then begins anew too.
    """
    if (folder / BEST).is_file() and not _is_whole(folder / BEST):
        return None
    return next((path for path in (folder / LAST, folder / BEFORE) if _is_whole(path)), None)


def _is_whole(path: Path) -> bool:
    """Whether a checkpoint is there and can be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return False
        torch.load(path, map_location="cpu", weights_only=True)
    # A damaged file raises many types of error.
    except Exception:
        return False
    return True
