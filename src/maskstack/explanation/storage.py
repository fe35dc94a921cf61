"""Explanations on disk: tensors in a safetensors file, everything else as JSON in its header and beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from maskstack.errors import InputError
from maskstack.files import write_whole

FORMAT = "maskstack-explanation-3"
OLD_FORMATS = "maskstack-explanation-1", "maskstack-explanation-2"


def save(path: str | Path, tensors: Mapping[str, Tensor], fields: Mapping[str, Any], summary: Any) -> Path:
    """Write an explanation's two files, each whole or not at all.

    Args:
        path: Path of the safetensors file; the suffix is added if it has none.
        tensors: The tensors by name.
        fields: Everything else, as JSON can hold it.
        summary: The numbers of each image, for the readable file.

    Returns:
        Path of the safetensors file.

    Raises:
        OutputError: A file cannot be written.
    """
    path = Path(path)
    path = path if path.suffix == ".safetensors" else path.with_name(path.name + ".safetensors")
    # Copied, as safetensors refuses tensors that share memory.
    copied = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    grids = sum(name.startswith("grid.") for name in tensors)
    header = {"format": FORMAT, "grids": str(grids), "explanation": json.dumps(fields, default=dict)}
    write_whole(path, lambda file: file.write_bytes(safetensors.torch.save(copied, header)))
    readable = json.dumps({**fields, "images": summary}, indent=2, default=dict)
    write_whole(path.with_suffix(".json"), lambda file: file.write_text(readable + "\n", encoding="utf-8"))
    return path


def load(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and fields that :func:`save` wrote, also of the formats before this one.

    Raises:
        InputError: The file is missing, damaged, or not an explanation.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}; check the path")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged or not a safetensors file ({error}); get a complete copy") from error
    if header.get("format") not in (FORMAT, *OLD_FORMATS):
        raise InputError(f"{path} is not an explanation file that this version can read; Explanation.save writes them")
    try:
        fields = json.loads(header["explanation"])
        for name in (f"grid.{index}" for index in range(int(header["grids"]))):
            if name not in tensors:
                raise LookupError(name)
        if header["format"] != FORMAT:
            _bring_up_to_date(header["format"], tensors, fields)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} lacks parts of an explanation: {error}; get a complete copy") from error
    return tensors, fields


def _bring_up_to_date(written: str, tensors: dict[str, Tensor], fields: dict[str, Any]) -> None:
    """Change the contents of an old file to those of a new one. Its trust is dropped, as it was measured otherwise."""
    if written == OLD_FORMATS[0]:
        tensors["score_hidden"] = tensors["score_hidden"].T.contiguous()
        tensors["opening"] = torch.zeros_like(tensors["score_before"])
        tensors["spread"] = torch.zeros_like(tensors["stack"])
        fields["passes_run"] = fields["versions"].pop("passes", "")
    for name in [name for name in tensors if name == "agreement" or name.startswith("trust.")]:
        del tensors[name]
    fields["problems"] = fields.pop("degenerate")
