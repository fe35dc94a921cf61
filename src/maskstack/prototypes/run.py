"""A whole training, from a configuration to a checkpoint, each part of which is done once."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import safetensors.torch
import torch
import torchmetrics
from torch import Tensor

from maskstack.errors import InputError
from maskstack.files import write_whole
from maskstack.runs.lock import locked
from maskstack.models import open_photo
from maskstack.models.weights import read_weights
from maskstack.prototypes.building import Built, begin, build
from maskstack.prototypes.checkpoint import Prototypes, save
from maskstack.prototypes.config import Config, StageConfig
from maskstack.prototypes.data import read_splits
from maskstack.prototypes.features import Features, cached_features
from maskstack.prototypes.protopnet import ProtoPNet
from maskstack.prototypes.push import BATCH, Source, duplicates, plain, prunable, push
from maskstack.prototypes.splits import Example, Splits, summary
from maskstack.prototypes.training import run_stage
from maskstack.version import __version__


class Listener(Protocol):
    """Is told how a training goes."""

    def say(self, sentence: str) -> None:
        """What a reader wants to know."""
        ...

    def caching(self, what: str, images: int) -> None:
        """Features of so many images are about to be computed."""
        ...

    def advance(self, images: int) -> None:
        """So many of them are done."""
        ...


def train(config: Config, out: Path, listener: Listener, *, progress: bool = False) -> Prototypes:
    """Train a prototype network, or go on with a training that was stopped.

    Args:
        config: What to train, on what, and how.
        out: The run's folder; the checkpoint will be ``out/checkpoint``.
        listener: Is told how it goes.
        progress: Whether Lightning shows its bar.

    Raises:
        InputError: The data or the configuration cannot be used, or ``out`` holds a run of another configuration.
        OutputError: The folder cannot be written to.
        KeyboardInterrupt: Ctrl-C; what was finished is kept.
    """
    started = time.perf_counter()
    splits = read_splits(config.data, seed=config.training.seed)
    with locked(out):
        _settle(config, splits, out)
        listener.say(summary(splits))
        listener.say(cost(config, splits))
        built = build(config.network, classes=len(splits.class_names), seed=config.training.seed)
        features = _Cached(config, out / "features", built, listener)
        found = _stages(config, built, splits, features, out, listener, progress=progress)
        numbers = found | {"seconds": round(time.perf_counter() - started, 1)}
        trained = Prototypes(
            built.network,
            built.model,
            config,
            splits.class_names,
            splits.multi_label,
            tuple(Source(**source) for source in numbers.pop("sources")),
            numbers,
            out / "checkpoint",
        )
        _save(trained, splits)
        return trained


class _Cached:
    """The cached features of each split, made when they are first asked for."""

    def __init__(self, config: Config, folder: Path, built: Built, listener: Listener) -> None:
        self.config, self.folder, self.built, self.listener = config, folder, built, listener
        network = config.network
        self.identity = json.dumps([__version__, network.backbone, network.cut or network.layer])

    def __call__(self, what: str, examples: Sequence[Example], *, views: int) -> Features:
        self.listener.caching(what, len(examples))
        return cached_features(
            self.folder,
            self.built.network.backbone,
            examples,
            self.built.preprocess,
            views=views,
            seed=self.config.training.seed,
            identity=self.identity,
            advance=self.listener.advance,
        )


def _stages(
    config: Config, built: Built, splits: Splits, cached: _Cached, out: Path, listener: Listener, *, progress: bool
) -> dict[str, Any]:
    """Work through the stages; what is found on the way: scores, sources, duplicates, what was pruned."""
    network = built.network
    train = cached("training", splits.train, views=config.training.views)
    validation = cached("validation", splits.validation, views=0)
    begin(network, train, seed=config.training.seed)
    names = [example.name for example in splits.train]
    found: dict[str, Any] = {"scores": {}, "sources": None, "pruned": []}
    for number, stage in enumerate(config.training.stages):
        label = f"{number}-{stage.name}"
        kept = out / "stages" / f"{label}.safetensors"
        if kept.is_file():
            found = _restore(network, kept)
            continue
        if stage.name == "push":
            found["sources"] = [dataclasses.asdict(source) for source in push(network, train, names)]
        elif stage.name == "prune":
            _prune(network, train, found)
        else:
            run_stage(
                network,
                stage,
                train,
                validation,
                config=config,
                number=number,
                folder=out / "stages" / label,
                progress=progress,
            )
        found["scores"][label] = score(network, validation, multi_label=splits.multi_label)
        listener.say(f"{label}: {measure(splits)} {found['scores'][label]['mean']:.3f} on validation")
        _keep(network, kept, found)
    if found["sources"] is None:
        raise InputError("no stage of the training is a push, so its prototypes cannot be shown; add one")
    test = cached("test", splits.test, views=0)
    found["test"] = score(network, test, multi_label=splits.multi_label)
    found["duplicates"] = {str(later): earlier for later, earlier in duplicates(network).items()}
    return found


def cost(config: Config, splits: Splits) -> str:
    """What a training takes, in words, before it starts."""
    training = config.training
    views = len(splits.train) * (training.views + 1) + len(splits.validation) + len(splits.test)
    epoch = max(1, len(splits.train) * (training.views + 1) // training.batch_size)
    steps = epoch * sum(stage.epochs for stage in training.stages)
    tail = f" through the backbone from {config.network.cut} on" if config.network.cut else ""
    return (
        f"{views:,} views to run through the frozen backbone once, then {steps:,} steps of {training.batch_size}{tail}"
        "; stop and go on whenever you like"
    )


def measure(splits: Splits) -> str:
    """What the scores are."""
    return "mean AUROC" if splits.multi_label else "accuracy"


@torch.no_grad()
def score(network: Any, features: Features, *, multi_label: bool) -> dict[str, Any]:
    """Accuracy, or AUROC of each label and their mean, on images as they are."""
    batches = [
        plain(features).__getitems__(range(at, min(at + BATCH, len(features.labels))))[0]
        for at in range(0, len(features.labels), BATCH)
    ]
    logits = torch.cat([network.read(cut).logits for cut in batches])
    if not multi_label:
        hits: Tensor = logits.argmax(dim=1) == features.labels.argmax(dim=1)
        return {"mean": float(hits.float().mean()), "images": len(hits)}
    values = torchmetrics.functional.classification.multilabel_auroc(
        logits, features.labels.long(), num_labels=logits.shape[1], average="none"
    )
    return {"mean": float(values.mean()), "each": values.tolist(), "images": len(logits)}


def _prune(network: Any, train: Features, found: dict[str, Any]) -> None:
    if not isinstance(network, ProtoPNet) or found["sources"] is None:
        raise InputError("the stage prune works on a pushed ProtoPNet; put it after push, or leave it out")
    keep = prunable(network, train).tolist()
    found["pruned"] = [source for number, source in enumerate(found["sources"]) if number not in keep]
    found["sources"] = [found["sources"][number] for number in keep]
    network.keep(torch.tensor(keep))


def _keep(network: Any, kept: Path, found: dict[str, Any]) -> None:
    """A finished stage as a file: everything but the frozen stem."""
    state = {name: value.contiguous().clone() for name, value in network.state_dict().items() if ".stem." not in name}
    write_whole(kept, lambda file: file.write_bytes(safetensors.torch.save(state, {"found": json.dumps(found)})))


def _restore(network: Any, kept: Path) -> dict[str, Any]:
    state = read_weights(kept)
    with safetensors.safe_open(kept, framework="pt") as file:
        found: dict[str, Any] = json.loads(file.metadata()["found"])
    several = len(state["owners"])
    if several < len(network.owners):
        network.keep(torch.arange(several))
    network.load_state_dict(state, strict=False)
    return found


def _settle(config: Config, splits: Splits, out: Path) -> None:
    """Write what the run is about, or refuse where the folder is about something else."""
    lists = {name: [example.name for example in getattr(splits, name)] for name in ("train", "validation", "test")}
    about = json.loads(json.dumps({"config": replaced_path(config).as_dict(), "classes": splits.class_names, **lists}))
    file = out / "run.json"
    if not file.is_file():
        write_whole(file, lambda path: path.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8"))
        return
    try:
        known = dict(json.loads(file.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise InputError(f"{file} is damaged; choose another --out") from error
    if known != about:
        differs = next((key for key in about if known.get(key) != about[key]), "content")
        raise InputError(f"{out} holds a training with another {differs}; choose another --out, or remove it")


def replaced_path(config: Config) -> Config:
    """Without the data's place: a training may go on after its data were moved."""
    return replace(config, data=replace(config.data, path=""))


def _save(trained: Prototypes, splits: Splits) -> None:
    pictures = {}
    if trained.config.training.keep_sources:
        paths = {example.name: example.path for example in splits.train}
        for name in sorted({source.image for source in trained.sources}):
            pictures[name] = trained.model.picture(trained.model.preprocess(open_photo(paths[name])))
    assert trained.folder is not None
    save(replace(trained, config=replaced_path(trained.config)), trained.folder, pictures=pictures)


__all__ = ["Listener", "StageConfig", "train"]
