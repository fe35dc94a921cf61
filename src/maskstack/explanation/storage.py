"""Explanations on disk: tensors in a safetensors file, everything else as JSON in its header and beside it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskstack.errors import WRONG_VALUE, InputError, UncheckedWarning
from maskstack.files import json_text, parse_json, write_whole
from maskstack.tensor_files import DIGEST, check_digest, header_of, read_tensors, write_tensors

ENDING = ".safetensors"
FORMAT = "maskstack-explanation-3"
OLD_FORMATS = ("maskstack-explanation-1", "maskstack-explanation-2")
"""Formats that can be read too; they have no digest."""


def save(path: str | Path, tensors: Mapping[str, Tensor], fields: Mapping[str, Any], summary: Any) -> Path:
    """Write an explanation's two files, each whole or not at all.

    Args:
        path: Path of the safetensors file; ``.safetensors`` is added if it does not end so.
        tensors: The tensors by name.
        fields: Everything else, as JSON can hold it.
        summary: The numbers of each image, for the readable file; None to write only the first file.

    Returns:
        Path of the safetensors file.

    Raises:
        OutputError: A file cannot be written.
    """
    path = Path(path)
    path = path if path.suffix == ENDING else path.with_name(path.name + ENDING)
    grids = sum(name.startswith("grid.") for name in tensors)
    header = {"format": FORMAT, "grids": str(grids), "explanation": json.dumps(fields, default=dict)}
    digest = write_tensors(path, tensors, header)
    if summary is None:
        return path
    readable = json_text({**fields, "images": summary, DIGEST: digest})
    write_whole(path.with_suffix(".json"), lambda file: file.write_text(readable + "\n", encoding="utf-8"))
    return path


def is_complete(path: Path) -> bool:
    """Whether an explanation has both of its files, from the same call of :func:`save`."""
    try:
        beside = parse_json(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    digest = header_of(path).get(DIGEST)
    return isinstance(beside, dict) and beside.get(DIGEST) == digest


def load(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and fields that :func:`save` wrote, also of the formats before this one.

    Warns:
        UncheckedWarning: The file is of an older format, which has no digest.

    Raises:
        InputError: The file is missing, damaged, or not an explanation.
    """
    path = Path(path)
    if not path.is_file():
        written = path.with_name(f"{path.name}{ENDING}")
        what = f"give {written}" if written.is_file() else "check the path"
        raise InputError(f"there is no file {path}; {what}")
    tensors, header = read_tensors(path)
    kind = header.get("format")
    if kind not in (FORMAT, *OLD_FORMATS):
        raise InputError(f"{path} is not an explanation file that this version can read; Explanation.save writes them")
    try:
        fields = parse_json(header["explanation"])
        for name in (f"grid.{index}" for index in range(int(header["grids"]))):
            if name not in tensors:
                raise LookupError(name)
        if not isinstance(fields, dict) or not fields:
            raise TypeError("its fields")
        for name in ("saliency", "stack", "masks"):
            if name not in tensors:
                raise LookupError(name)
        check_digest(path, tensors, header, required=kind == FORMAT)
        if kind != FORMAT:
            _bring_up_to_date(kind, tensors, fields)
    except InputError:
        raise
    except WRONG_VALUE as error:
        raise InputError(f"{path} lacks parts of an explanation: {error}; get a complete copy") from error
    if kind in OLD_FORMATS:
        warnings.warn(
            f"{path} was written by an older version and has no digest, so damage in it cannot be noticed; save it "
            "again to add one",
            UncheckedWarning,
            stacklevel=3,
        )
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
