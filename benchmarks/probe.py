"""A linear probe on the features of a prototype network's backbone, as a baseline for the prototype network.

Usage: python -m benchmarks.probe CONFIG.toml --data FOLDER [--features FOLDER]

The features of the frozen backbone at the configuration's layer are averaged over places and standardised. A logistic
regression is fitted to the training images and their augmented views; the strength of its penalty is chosen on the
validation images. Prints the accuracy, or the AUROC of each label and their mean, on the test images.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from maskstack.prototypes.building import build
from maskstack.prototypes.config import read_config
from maskstack.prototypes.data import read_splits
from maskstack.prototypes.features import cached_features
from maskstack.prototypes.splits import Example

Numbers = NDArray[np.float32]
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def main() -> None:
    """Fit the probe, choose the penalty, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--features", type=Path, help="where features are kept; a temporary folder if not given")
    given = parser.parse_args()
    config = read_config(given.config)
    config = replace(config, data=replace(config.data, path=given.data), network=replace(config.network, cut=""))
    splits = read_splits(config.data, seed=config.training.seed)
    built = build(config.network, classes=len(splits.class_names), seed=0)
    with TemporaryDirectory() as temporary:
        folder = given.features or Path(temporary)

        def pooled(examples: tuple[Example, ...], views: int) -> tuple[Numbers, Numbers]:
            found = cached_features(
                folder,
                built.network.backbone,
                examples,
                built.preprocess,
                views=views,
                seed=config.training.seed,
                identity=f"probe {config.network.backbone} {config.network.layer}",
            )
            several = views + 1
            values = np.asarray(found.values).mean(axis=(3, 4)).reshape(-1, found.values.shape[2])
            return values, found.labels.numpy().repeat(several, axis=0)

        train, validation, test = (
            pooled(splits.train, config.training.views),
            pooled(splits.validation, 0),
            pooled(splits.test, 0),
        )
    centre, spread = train[0].mean(axis=0), train[0].std(axis=0) + 1e-6
    (x, y), (vx, vy), (tx, ty) = (((values - centre) / spread, labels) for values, labels in (train, validation, test))
    if not splits.multi_label:
        models = [LogisticRegression(C=c, max_iter=500).fit(x, y.argmax(axis=1)) for c in STRENGTHS]
        best = max(models, key=lambda model: model.score(vx, vy.argmax(axis=1)))
        print(f"accuracy {best.score(tx, ty.argmax(axis=1)):.3f} on {len(tx)} test images (penalty 1/{best.C:g})")
        return
    areas = []
    for column, name in enumerate(splits.class_names):
        models = [LogisticRegression(C=c, max_iter=500).fit(x, y[:, column]) for c in STRENGTHS]
        best = max(models, key=lambda model: roc_auc_score(vy[:, column], model.decision_function(vx)))
        areas.append(roc_auc_score(ty[:, column], best.decision_function(tx)))
        print(f"{name}: AUROC {areas[-1]:.3f} (penalty 1/{best.C:g})")
    print(f"mean AUROC {np.mean(areas):.3f} on {len(tx)} test images")


if __name__ == "__main__":
    main()
