"""What a bench measures, checked before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from maskstack import checks
from maskstack.datasets import AnnotatedImages, load_images
from maskstack.errors import InputError
from maskstack.explainers.table import parse_method
from maskstack.leaderboard.case import TARGETS
from maskstack.leaderboard.measures import GROUPS
from maskstack.models import LoadedModel, named_spec
from maskstack.runs.folder import HALVES

WHICH = ("all", "right")
"""Which images: all, or those that the network classifies correctly."""


@dataclass(frozen=True, kw_only=True)
class BenchRequest:
    """What to measure: every method on every image of every network.

    Attributes:
        models: Specs of networks, each with an optional name before it: ``small=timm:resnet18,pretrained``.
        data: Folder or file of annotated images.
        methods: Methods with their options: ``mdm``, ``rise:masks=1000``.
        groups: Groups of metrics.
        images: How many images of the data; None is all.
        seed: Seed of the choice of images. With the same seed, fewer images are a part of more images.
        half: ``tuning`` (even positions of the sorted names), ``reporting`` (odd ones) or ``all``.
        which: ``all`` or ``right``.
        target: The class to explain: ``label`` or ``predicted``.
        split: Split of the data, if it has any.
        curve_steps: Number of steps of insertion and deletion curves.
        keep_maps: Whether to keep the maps, as float16.
        device: Where the networks run: ``cpu``, ``cuda`` ...
        batch_size: Maximum number of images in one pass.

    Raises:
        InputError: A name or number cannot be used.
    """

    models: tuple[str, ...]
    data: str
    methods: tuple[str, ...]
    groups: tuple[str, ...]
    images: int | None = None
    seed: int = 0
    half: str = "all"
    which: str = "all"
    target: str = "label"
    split: str | None = None
    curve_steps: int = 20
    keep_maps: bool = False
    device: str = "cpu"
    batch_size: int = 32

    def __post_init__(self) -> None:
        checks.distinct("model", self.models)
        checks.distinct("method", self.methods)
        checks.distinct("group of metrics", self.groups)
        if len(self.specs) < len(self.models):
            raise InputError(f"two models have the same name in {', '.join(self.models)}; give each its own")
        for method in self.methods:
            parse_method(method)
        for group in self.groups:
            checks.one_of("group of metrics", group, tuple(GROUPS))
        checks.one_of("half", self.half, HALVES)
        checks.one_of("which", self.which, WHICH)
        checks.one_of("target", self.target, TARGETS)
        if self.images is not None:
            checks.whole("images", self.images, least=1)
        checks.whole("seed", self.seed, least=0)
        checks.whole("batch_size", self.batch_size, least=1)
        checks.whole("curve_steps", self.curve_steps, least=2)

    @property
    def specs(self) -> dict[str, str]:
        """The networks' specs by their names; a network without a name is named by its spec."""
        return dict(named_spec(model) for model in self.models)

    def images_for(self, net: LoadedModel) -> AnnotatedImages:
        """The images that the run chooses from, labelled by the network's classes.

        Raises:
            InputError: The data cannot be read.
        """
        images = load_images(self.data, class_names=net.class_names, split=self.split)
        return images if self.half == "all" else images.half(self.half)
