"""The checkpoint of a training: tensors as safetensors, everything else as JSON, pictures as PNG."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from maskstack.errors import WRONG_VALUE, InputError, ModelError, UncheckedWarning, reason
from maskstack.files import json_text, parse_json, write_whole
from maskstack.models import LoadedModel, Preprocess, check_spec_from_file, open_photo
from maskstack.models.weights import load_weights, read_weights
from maskstack.prototypes.building import build, offline
from maskstack.prototypes.config import Config
from maskstack.prototypes.protopnet import ProtoPNet
from maskstack.prototypes.push import Source
from maskstack.prototypes.xprotonet import XProtoNet
from maskstack.tensor_files import DIGEST, header_of, write_tensors

FORMAT, OLD_FORMAT = "maskstack prototypes 2", "maskstack prototypes 1"
"""The format that is written, and an older one that can be read too and has no digests."""
TENSORS, ABOUT, SOURCES = "network.safetensors", "prototypes.json", "sources"


@dataclass(frozen=True)
class Prototypes:
    """A trained prototype network, and where its prototypes come from.

    Attributes:
        network: ProtoPNet or XProtoNet, in eval mode.
        model: The backbone, for its preprocessing.
        config: Configuration of its training.
        class_names: Names of the classes, in the order of the logits.
        multi_label: Whether an image can have several classes.
        sources: Where each prototype comes from, P.
        report: Numbers of the training, see ``docs/prototypes.md``.
        folder: Folder of the checkpoint; None if it was not saved.
    """

    network: ProtoPNet | XProtoNet
    model: LoadedModel
    config: Config
    class_names: tuple[str, ...]
    multi_label: bool
    sources: tuple[Source, ...]
    report: dict[str, Any] = dataclasses.field(default_factory=dict)
    folder: Path | None = None

    def prototypes_of(self, label: int) -> list[int]:
        """The prototypes of a class, in decreasing order of their weight."""
        own = torch.nonzero(self.network.owners == label).flatten()
        order = self.network.weights.detach()[own, label].argsort(descending=True, stable=True)
        return [int(prototype) for prototype in own[order]]

    @property
    def digest(self) -> str:
        """Identifies the weights."""
        known = hashlib.sha256()
        for value in self.network.state_dict().values():
            known.update(value.detach().cpu().contiguous().numpy().tobytes())
        return known.hexdigest()[:16]

    def prepare(self, picture: Image.Image) -> Tensor:
        """The input for a picture that is cropped already, as :meth:`source_picture` returns it."""
        preprocess = self.model.preprocess
        if isinstance(preprocess, Preprocess):
            preprocess = replace(preprocess, share=1.0, squash=True)
        return preprocess(picture)

    def source_picture(self, prototype: int, *, data: Path | None = None) -> Image.Image | None:
        """The training image a prototype comes from, as the network saw it.

        Args:
            prototype: Its number.
            data: Folder of the training data, used if the checkpoint holds no picture.

        Returns:
            The picture; None where there is none.

        Raises:
            InputError: The file is damaged, or a picture of the checkpoint is not of the size of the network's input.
        """
        path = self.source_path(prototype, data=data)
        if path is None:
            return None
        picture = open_photo(path)
        if self.folder is None or path.parent != self.folder / SOURCES:
            return self.model.picture(self.model.preprocess(picture))
        height, width = self.model.input_size
        if picture.size != (width, height):
            raise InputError(
                f"{path} has {picture.width} x {picture.height} pixels, but the network's input {width} x {height}; "
                "get a whole copy of the checkpoint"
            )
        return picture

    def source_path(self, prototype: int, *, data: Path | None = None) -> Path | None:
        """The file of a prototype's training image: the checkpoint's own picture, or else the image in the data.

        Args:
            prototype: Its number.
            data: Folder of the training data.

        Returns:
            The file; None if neither is there.
        """
        name = self.sources[prototype].image
        kept = [] if self.folder is None else [self.folder / SOURCES / picture_name(name)]
        images = [] if data is None else [data / name, data / "images" / name]
        return next((path for path in (*kept, *images) if path.is_file()), None)


def picture_name(image: str) -> str:
    """The file of a training image's picture within a checkpoint: its name and a digest of its path.

    >>> picture_name("train/Blue_Jay/0001.jpg")
    '0001-a9f49ad1.png'
    """
    return f"{Path(image).stem}-{hashlib.sha256(image.encode()).hexdigest()[:8]}.png"


def save(prototypes: Prototypes, folder: Path, *, pictures: dict[str, Image.Image]) -> Path:
    """Write a checkpoint: ``network.safetensors``, ``prototypes.json`` and, where given, ``sources/*.png``.

    The JSON is written last. It holds a digest of itself and that of the tensors, so that a checkpoint of which only a
    part was written is never taken for a whole one.

    Args:
        prototypes: What to write.
        folder: Made if missing.
        pictures: Training images that prototypes come from, by their names; none for data that may not be shared.

    Raises:
        OutputError: A file cannot be written.
    """
    tensors = write_tensors(folder / TENSORS, prototypes.network.state_dict(), {"format": FORMAT})
    for name, picture in pictures.items():
        write_whole(folder / SOURCES / picture_name(name), picture.save)
    about = {
        "format": FORMAT,
        "kind": prototypes.network.kind,
        "class_names": prototypes.class_names,
        "multi_label": prototypes.multi_label,
        "owners": prototypes.network.owners.tolist(),
        "sources": [dataclasses.asdict(source) for source in prototypes.sources],
        "config": prototypes.config.as_dict(),
        "report": prototypes.report,
        "tensors": tensors,
    }
    # As JSON returns it: tuples become lists.
    about = json.loads(json_text(about))
    text = json_text({**about, DIGEST: _digest(about)}) + "\n"
    return write_whole(folder / ABOUT, lambda file: file.write_text(text, encoding="utf-8"))


def load(folder: str | Path, *, kind: str | None = None, allow_code: bool = False) -> Prototypes:
    """Read a checkpoint.

    Args:
        folder: As ``maskstack prototypes train`` wrote it; or the run's folder, which holds it as ``checkpoint``.
        kind: The kind of network that is expected.
        allow_code: Whether the checkpoint may name code as its backbone (``python:module:function``) to run.

    Raises:
        InputError: There is no checkpoint, its JSON is damaged, it is of another kind, or its backbone is code that is
            not allowed.
        ModelError: Tensors are missing, damaged, or belong to another network.
        MissingExtraError: A package that the backbone needs is not installed.
    """
    folder = Path(folder)
    if folder.is_file():
        raise InputError(f"{folder} is a file; give the folder of the checkpoint, which has {ABOUT}")
    folder = folder / "checkpoint" if (folder / "checkpoint" / ABOUT).is_file() else folder
    about = _about(folder)
    if kind is not None and about.get("kind") != kind:
        raise InputError(f"{folder} holds a checkpoint of {about.get('kind')}, not of {kind}; give one of {kind}")
    try:
        config = Config.from_dict(about["config"])
        names, owners = tuple(about["class_names"]), tuple(map(int, about["owners"]))
        sources = tuple(Source(**source) for source in about["sources"])
        multi_label, report = bool(about["multi_label"]), dict(about["report"])
        if len(owners) != len(sources) or not all(0 <= owner < len(names) for owner in owners):
            raise ValueError("its prototypes have no sources or no class")
        if not all(isinstance(text, str) for text in (*names, *(source.image for source in sources))):
            raise ValueError("a name is not text")
    except WRONG_VALUE as error:
        raise InputError(f"{folder / ABOUT} lacks parts of a checkpoint ({reason(error)}); get a whole copy") from error
    _check_digests(folder, about)
    # The checkpoint holds all weights, so nothing is downloaded.
    backbone = check_spec_from_file(config.network.backbone, folder / ABOUT, allow_code=allow_code)
    network_config = replace(config.network, backbone=offline(backbone))
    built = build(network_config, classes=len(names), seed=0, owners=owners)
    state = read_weights(folder / TENSORS)
    _check_whole(folder, state.keys(), built.network.state_dict().keys())
    load_weights(built.network, state, source=str(folder / TENSORS))
    if about["format"] == FORMAT and header_of(folder / TENSORS).get(DIGEST) != about.get("tensors"):
        raise ModelError(f"{folder / TENSORS} does not belong to {folder / ABOUT}; get a whole copy of both")
    return Prototypes(built.network.eval(), built.model, config, names, multi_label, sources, report, folder)


def _about(folder: Path) -> dict[str, Any]:
    try:
        about = parse_json((folder / ABOUT).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds no checkpoint; give the folder that has {ABOUT}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / ABOUT} cannot be read ({reason(error)}); get a whole copy of it") from error
    if not isinstance(about, dict) or about.get("format") not in (FORMAT, OLD_FORMAT):
        raise InputError(
            f"{folder / ABOUT} is not a checkpoint that this version can read; give one that prototypes train wrote"
        )
    return about


def _check_digests(folder: Path, about: dict[str, Any]) -> None:
    """Compare the JSON with its digest; a file of an older version has none, which is said."""
    if about["format"] == FORMAT or DIGEST in about:
        if about.get(DIGEST) != _digest(about):
            raise InputError(
                f"{folder / ABOUT} does not fit its digest: it is damaged or was edited; get a whole copy of it"
            )
        return
    warnings.warn(
        f"{folder} was written by an older version and has no digests, so damage in it cannot be noticed",
        UncheckedWarning,
        stacklevel=3,
    )


def _digest(about: Mapping[str, Any]) -> str:
    """Digest of all entries but itself, in any order and layout."""
    entries = {name: value for name, value in about.items() if name != DIGEST}
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def _check_whole(folder: Path, there: Any, wanted: Sequence[str] | Any) -> None:
    """Check that no tensor is missing; a checkpoint also holds the counters of batch norms."""
    lost = [name for name in wanted if name not in there]
    if lost:
        raise ModelError(f"{folder / TENSORS} lacks {len(lost)} tensors, first {lost[0]}; get a whole copy")
