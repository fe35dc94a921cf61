"""The Lightning module of one training stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning
import torch
import torchmetrics
from torch import Tensor, nn

from maskstack.prototypes import losses
from maskstack.prototypes.config import StageConfig
from maskstack.prototypes.features import Batch
from maskstack.prototypes.frozen_tail import trains_tail
from maskstack.prototypes.network import Reading
from maskstack.prototypes.protopnet import ProtoPNet
from maskstack.prototypes.xprotonet import XProtoNet


class StageModule(lightning.LightningModule):
    """One stage of a network's training, on features that are cached at the backbone's cut.

    Args:
        network: Trained in place.
        stage: What is trained, and the learning rates.
        weights: Weights of the losses.
        multi_label: Whether an image can have several classes.
        steps: Number of steps of the stage, for the schedule.
    """

    def __init__(
        self,
        network: ProtoPNet | XProtoNet,
        stage: StageConfig,
        *,
        weights: Mapping[str, float],
        multi_label: bool,
        steps: int,
    ) -> None:
        super().__init__()
        self.network, self.stage, self.weights, self.steps = network, stage, weights, steps
        self.multi_label = multi_label
        self.strict_loading = False  # Lightning's checkpoints do not hold the frozen stem.
        classes = network.weights.shape[1]
        self.score: torchmetrics.Metric = (
            torchmetrics.AUROC(task="multilabel", num_labels=classes)
            if multi_label
            else torchmetrics.Accuracy(task="multiclass", num_classes=classes, average="micro")
        )

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """The loss of a batch."""
        parts = self.parts(batch)
        for name, value in parts.items():
            self.log(f"loss/{name}", value.detach(), on_step=False, on_epoch=True)
        return torch.stack(list(parts.values())).sum()

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Accuracy, or mean AUROC, on the validation images."""
        cut, _, _, labels = batch
        truth = labels.long() if self.multi_label else labels.argmax(dim=1)
        self.score.update(self.network.read(cut).logits, truth)

    def on_validation_epoch_end(self) -> None:
        """Log the score, and the value by which epochs are chosen: of equally good epochs the later one."""
        score = self.score.compute()
        self.score.reset()
        self.log("score", score, prog_bar=True)
        self.log("merit", score + 1e-6 * self.current_epoch)

    def parts(self, batch: Batch) -> dict[str, Tensor]:
        """The weighted losses of a batch by name; the loss is their sum."""
        cut, plain, theta, labels = batch
        reading = self.network.read(cut)
        if isinstance(self.network, ProtoPNet):
            return self._protopnet(reading, labels)
        return self._xprotonet(reading, labels, plain, theta)

    def _protopnet(self, reading: Reading, labels: Tensor) -> dict[str, Tensor]:
        assert reading.distances is not None
        network, weights = self.network, self.weights
        own = labels[:, network.owners] > 0.5
        parts = {"classes": nn.functional.cross_entropy(reading.logits, labels)}
        if self.stage.name == "last":
            return parts | {"l1": weights["l1"] * losses.foreign_weights(network.weights, network.owners)}
        return parts | {
            "cluster": weights["cluster"] * losses.cluster_cost(reading.distances, own),
            "separation": -weights["separation"] * losses.separation_cost(reading.distances, own),
        }

    def _xprotonet(self, reading: Reading, labels: Tensor, plain: Tensor, theta: Tensor) -> dict[str, Tensor]:
        owners, weights = self.network.owners, self.weights
        parts = {"classes": losses.balanced_focal(reading.logits, labels, gamma=weights["gamma"])}
        if self.stage.name == "last":
            return parts
        maps = self.network.read(plain).maps
        near = losses.similarity_cluster(reading.activations, labels, owners)
        far = losses.similarity_separation(reading.activations, labels, owners)
        return parts | {
            "cluster": weights["cluster"] * near,
            "separation": weights["separation"] * far,
            "occurrence": weights["occurrence"] * reading.maps.abs().mean(),
            "affine": weights["affine"] * losses.affine_consistency(reading.maps, maps, theta),
        }

    def configure_optimizers(self) -> Any:
        """Adam for the parameters that the stage trains; all others are frozen."""
        groups = trained_groups(self.network, self.stage)
        self.network.requires_grad_(False)
        for group in groups:
            for parameter in group["params"]:
                parameter.requires_grad_(True)
        optimizer = torch.optim.Adam(groups)
        if self.stage.schedule == "constant":
            return optimizer
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out the frozen stem."""
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: state[name] for name in state if ".backbone.stem." not in name}


def trained_groups(network: ProtoPNet | XProtoNet, stage: StageConfig) -> list[dict[str, Any]]:
    """The parameters that a stage trains, with their learning rates, as an optimiser takes them.

    The warm stage trains all but the backbone and the last layer, the joint stage also the backbone's tail, and the
    last stage only the last layer (Chen et al. 2019, section 2.2). Prototypes have no weight decay.
    """
    last = [network.last.weight] if isinstance(network, ProtoPNet) else [network.weight, network.bias]
    if stage.name == "last":
        return [{"params": last, "lr": stage.learning_rate}]
    layers = [network.add_on] if isinstance(network, ProtoPNet) else [network.add_on, network.occurring]
    inner = [parameter for layer in layers for parameter in layer.parameters()]
    groups = [
        {"params": inner, "lr": stage.learning_rate, "weight_decay": stage.weight_decay},
        {"params": [network.prototypes], "lr": stage.learning_rate},
    ]
    if trains_tail(network, stage):
        tail = list(network.backbone.tail.parameters())
        groups.append({"params": tail, "lr": stage.backbone_rate, "weight_decay": stage.weight_decay})
    return groups
