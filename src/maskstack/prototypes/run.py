"""A whole training, from a configuration to a checkpoint; finished parts are not repeated."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
import torchmetrics
from PIL import Image
from torch import Tensor

from maskstack.errors import WRONG_VALUE, InputError, reason
from maskstack.files import parse_json
from maskstack.models import open_photo
from maskstack.prototypes.building import BuiltNetwork, begin, build
from maskstack.prototypes.checkpoint import Prototypes, save
from maskstack.prototypes.config import Config, StageConfig
from maskstack.prototypes.data import read_splits
from maskstack.prototypes.features import Features, bytes_of_a_view, cached_features
from maskstack.prototypes.frozen_tail import tail_run_once
from maskstack.prototypes.push import Source, duplicates, plain_cuts, prunable, push
from maskstack.prototypes.splits import Example, Splits, check_one_each, summary
from maskstack.prototypes.training import run_stage
from maskstack.runs.folder import find_record, locked, settle, write_record
from maskstack.tensor_files import check_digest, digest_of, read_tensors, write_tensors
from maskstack.version import __version__


class TrainingListener(Protocol):
    """Receives the progress of a training."""

    def say(self, sentence: str) -> None:
        """Called with a sentence for the user."""

    def caching(self, what: str, images: int) -> None:
        """Called before features are computed, with the number of images."""

    def advance(self, images: int) -> None:
        """Called when more images are done, with their number."""


def train(config: Config, out: Path, listener: TrainingListener, *, progress: bool = False) -> Prototypes:
    """Train a prototype network, or resume an interrupted training.

    Args:
        config: The network, the data and the training.
        out: The run's folder; the checkpoint is written to ``out/checkpoint``.
        listener: Receives the progress.
        progress: Whether Lightning shows its progress bar.

    Raises:
        InputError: The data or the configuration cannot be used, or ``out`` holds a run of another configuration or of
            a backbone with other weights.
        OutputError: The folder cannot be written to.
        KeyboardInterrupt: Ctrl-C; finished parts are kept.
    """
    started = time.perf_counter()
    splits = read_splits(config.data, seed=config.training.seed)
    if config.network.kind == "protopnet":
        check_one_each(splits.train)
    with locked(out):
        settle(out, _record(config, splits), begun=(out / "stages").is_dir())
        listener.say(summary(splits))
        built = build(config.network, classes=len(splits.class_names), seed=config.training.seed)
        _settle_weights(out, digest_of(built.network.backbone.state_dict(), {}))
        plain = built.preprocess(Image.new("RGB", built.model.input_size[::-1]))
        listener.say(cost(config, splits, bytes_of_a_view(built.network.backbone, plain), out))
        if built.model.assumed:
            listener.say(f"note: {built.model.assumed}")
        identity = json.dumps([__version__, config.network.backbone, config.network.cut or config.network.layer])

        def cached(what: str, examples: Sequence[Example], *, views: int) -> Features:
            listener.caching(what, len(examples))
            return cached_features(
                out / "features",
                built.network.backbone,
                examples,
                built.preprocess,
                views=views,
                seed=config.training.seed,
                identity=identity,
                advance=listener.advance,
            )

        found = _stages(config, built, splits, cached, out, listener, progress=progress)
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


def _stages(
    config: Config,
    built: BuiltNetwork,
    splits: Splits,
    cached: Callable[..., Features],
    out: Path,
    listener: TrainingListener,
    *,
    progress: bool,
) -> dict[str, Any]:
    """Run the stages, and return their results: scores, sources, duplicates and pruned prototypes."""
    network = built.network
    train = cached("training", splits.train, views=config.training.views)
    validation = cached("validation", splits.validation, views=0)
    begin(network, train, seed=config.training.seed)
    names = [example.name for example in splits.train]
    found: dict[str, Any] = {"scores": {}, "sources": None, "pruned": []}
    for number, stage in enumerate(config.training.stages):
        label = f"{number}-{stage.name}"
        kept = out / "stages" / f"{label}.safetensors"
        restored = _restore(network, kept, listener)
        if restored is not None:
            found = restored
            continue
        if stage.name == "push":
            found["sources"] = [dataclasses.asdict(source) for source in push(network, train, names)]
        elif stage.name == "prune":
            _prune(network, train, found)
        else:
            with tail_run_once(network, stage, (train, validation), folder=out / "features") as (used, compared):
                run_stage(
                    network,
                    stage,
                    used,
                    compared,
                    config=config,
                    number=number,
                    folder=out / "stages" / label,
                    progress=progress,
                )
        found["scores"][label] = score(network, validation, multi_label=splits.multi_label)
        listener.say(f"{label}: {measure(splits)} {found['scores'][label]['mean']:.3f} on validation")
        _keep(network, kept, found)
    test = cached("test", splits.test, views=0)
    found["test"] = score(network, test, multi_label=splits.multi_label)
    found["duplicates"] = {str(later): earlier for later, earlier in duplicates(network).items()}
    return found


def cost(config: Config, splits: Splits, bytes_of_a_view: int, out: Path) -> str:
    """The cost of a training, in words, before it starts.

    Args:
        config: The training.
        splits: The images.
        bytes_of_a_view: How many bytes the features of a view take.
        out: The run's folder.
    """
    training = config.training
    views = len(splits.train) * (training.views + 1) + len(splits.validation) + len(splits.test)
    epoch = max(1, len(splits.train) * (training.views + 1) // training.batch_size)
    steps = epoch * sum(stage.epochs for stage in training.stages)
    tail = f" through the backbone from {config.network.cut} on" if config.network.cut else ""
    size = views * bytes_of_a_view
    space = f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"
    return (
        f"{views:,} views to run through the frozen backbone once, then {steps:,} training steps of "
        f"{training.batch_size} images{tail}; you can interrupt and resume at any time; the features take {space} in "
        f"{out / 'features'}, which you can delete after the training"
    )


def measure(splits: Splits) -> str:
    """Name of the scores."""
    return "mean AUROC" if splits.multi_label else "accuracy"


@torch.no_grad()
def score(network: Any, features: Features, *, multi_label: bool) -> dict[str, Any]:
    """Accuracy, or AUROC of each label and their mean, on images without augmentation."""
    logits = torch.cat([network.read(cut).logits for cut in plain_cuts(features)])
    if not multi_label:
        hits: Tensor = logits.argmax(dim=1) == features.labels.argmax(dim=1)
        return {"mean": float(hits.float().mean()), "images": len(hits)}
    values = torchmetrics.functional.classification.multilabel_auroc(
        logits, features.labels.long(), num_labels=logits.shape[1], average="none"
    )
    return {"mean": float(values.mean()), "each": values.tolist(), "images": len(logits)}


def _prune(network: Any, train: Features, found: dict[str, Any]) -> None:
    keep = prunable(network, train).tolist()
    found["pruned"] += [source for number, source in enumerate(found["sources"]) if number not in keep]
    found["sources"] = [found["sources"][number] for number in keep]
    network.keep(torch.tensor(keep))


def _keep(network: Any, kept: Path, found: dict[str, Any]) -> None:
    """Write a finished stage: all tensors but those of the frozen stem."""
    state = {name: value for name, value in network.state_dict().items() if ".stem." not in name}
    write_tensors(kept, state, {"found": json.dumps(found)})


def _restore(network: Any, kept: Path, listener: TrainingListener) -> dict[str, Any] | None:
    """Load a finished stage; None if there is none, or if its file is damaged, so that the stage is repeated."""
    if not kept.is_file():
        return None
    try:
        state, about = read_tensors(kept)
        check_digest(kept, state, about, required=False)
        found: dict[str, Any] = parse_json(about["found"])
        lacking = [name for name in network.state_dict() if ".stem." not in name and name not in state]
        if lacking or not {"scores", "sources", "pruned"} <= found.keys():
            raise ValueError("it lacks parts")
    except WRONG_VALUE as error:
        listener.say(f"{kept.name} is damaged ({reason(error)}); this stage is trained again")
        kept.unlink(missing_ok=True)
        return None
    several = len(state["owners"])
    if several < len(network.owners):
        network.keep(torch.arange(several))
    network.load_state_dict(state, strict=False)
    return found


def _record(config: Config, splits: Splits) -> dict[str, Any]:
    """The configuration and the images, which identify the run."""
    lists = {name: [example.name for example in getattr(splits, name)] for name in ("train", "validation", "test")}
    return {"config": without_path(config).as_dict(), "classes": splits.class_names, **lists}


def _settle_weights(out: Path, digest: str) -> None:
    """Add the digest of the backbone's weights to the run's record, or check that it is the same as before.

    Finished stages do not hold the stem, so they cannot be used with another one.
    """
    record = find_record(out) or {}
    if "backbone" not in record:  # the run is new, or an older version began it
        write_record(out, {**record, "backbone": digest})
    elif record["backbone"] != digest:
        raise InputError(
            f"{out} holds a run whose backbone had other weights; give these weights again, or choose another --out"
        )


def without_path(config: Config) -> Config:
    """The configuration without the path of the data, so that a training can resume after its data were moved."""
    return replace(config, data=replace(config.data, path=""))


def _save(trained: Prototypes, splits: Splits) -> None:
    pictures = {}
    if trained.config.training.keep_sources:
        paths = {example.name: example.path for example in splits.train}
        for name in sorted({source.image for source in trained.sources}):
            pictures[name] = trained.model.picture(trained.model.preprocess(open_photo(paths[name])))
    assert trained.folder is not None
    save(replace(trained, config=without_path(trained.config)), trained.folder, pictures=pictures)


__all__ = ["StageConfig", "TrainingListener", "train"]
