"""From a configuration to an untrained network, and the initialisation of its prototypes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

import torch
from PIL import Image
from torch import Tensor

from maskstack.errors import ModelError
from maskstack.models import LoadedModel, load_model
from maskstack.models.spec import parse_spec
from maskstack.prototypes.backbone import cut_in_two
from maskstack.prototypes.config import NetworkConfig
from maskstack.prototypes.features import Features
from maskstack.prototypes.protopnet import ProtoPNet
from maskstack.prototypes.push import plain, plain_cuts
from maskstack.prototypes.xprotonet import XProtoNet


@dataclass(frozen=True)
class BuiltNetwork:
    """A prototype network and how pictures are prepared for it.

    Attributes:
        network: ProtoPNet or XProtoNet, in eval mode.
        model: The backbone as it was loaded, for its preprocessing.
    """

    network: ProtoPNet | XProtoNet
    model: LoadedModel

    @property
    def preprocess(self) -> Callable[[Image.Image], Tensor]:
        """From a picture to C x H x W."""
        return self.model.preprocess


def build(config: NetworkConfig, *, classes: int, seed: int, owners: tuple[int, ...] = ()) -> BuiltNetwork:
    """Make a network; its random weights depend only on the seed, and torch's random state stays as it was.

    Args:
        config: The network.
        classes: K.
        seed: Seed of the initialisation.
        owners: Class of each prototype, if some were pruned; by default ``per_class`` prototypes for each class.

    Raises:
        InputError: The backbone or a layer of it does not exist.
        ModelError: The backbone cannot be cut there.
        MissingExtraError: A package is needed that is not installed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # a backbone without pretrained weights has random ones
        model = load_model(config.backbone)
        example = model.preprocess(Image.new("RGB", model.input_size[::-1])).unsqueeze(0)
        backbone = cut_in_two(model.model, config.layer, config.cut, example=example)
        owners = owners or tuple(chain.from_iterable([owner] * config.per_class for owner in range(classes)))
        torch.default_generator.manual_seed(seed)
        network: ProtoPNet | XProtoNet
        if config.kind == "protopnet":
            network = ProtoPNet(backbone, owners, classes=classes, dimension=config.dimension)
        else:
            network = XProtoNet(
                backbone,
                owners,
                classes=classes,
                dimension=config.dimension,
                occurrence=config.occurrence,
                pooling=config.pooling,
                similarity=config.similarity,
            )
    return BuiltNetwork(network.eval(), model)


def offline(spec: str) -> str:
    """The spec without options that download weights or open files, for a network whose weights and classes are stored.

    >>> offline("timm:resnet18,pretrained,size=256,classes=names.txt")
    'timm:resnet18,size=256'
    """
    head, *parts = (part.strip() for part in parse_spec(spec).text.split(","))
    left_out = ("pretrained", "weights", "classes")
    return ",".join([head, *(part for part in parts if part.partition("=")[0].strip() not in left_out)])


@torch.no_grad()
def begin(network: ProtoPNet | XProtoNet, features: Features, *, seed: int) -> None:
    """Standardise the backbone's features, and set each prototype to a random vector of its class, in place.

    A frozen backbone needs both: otherwise most prototypes of a class become equal, or all stay far from any patch.

    Args:
        network: Not yet trained.
        features: Features of the training images.
        seed: Seed of the choice of vectors.

    Raises:
        ModelError: Features of an image are not finite.
    """
    cuts = list(plain_cuts(features))
    raw = torch.cat([network.backbone.after(cut) for cut in cuts])
    unusable = int((~raw.isfinite()).flatten(1).any(dim=1).sum())
    if unusable:
        raise ModelError(
            f"the backbone's features of {unusable} of {len(raw)} training images are not finite; choose another layer "
            "or backbone"
        )
    network.backbone.mean.copy_(raw.mean(dim=(0, 2, 3)))
    network.backbone.std.copy_(raw.std(dim=(0, 2, 3)).clamp_min(1e-6))
    if isinstance(network, ProtoPNet):
        vectors = torch.cat([network.embed(cut).flatten(2).transpose(1, 2) for cut in cuts])  # N x L x D
    generator = torch.Generator().manual_seed(seed)
    for prototype, owner in enumerate(network.owners.tolist()):
        own = torch.nonzero(features.labels[:, owner] > 0.5).flatten()
        image = int(own[torch.randint(len(own), (1,), generator=generator)])
        if isinstance(network, ProtoPNet):
            place = int(torch.randint(vectors.shape[1], (1,), generator=generator))
            network.prototypes[prototype] = vectors[image, place]
        else:
            cut = plain(features).__getitems__([image])[0]
            pooled = network.read(cut).vectors
            assert pooled is not None
            network.prototypes[prototype] = pooled[0, prototype]
