"""The result of an explanation: the map, its masks and scores, and its cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskstack.errors import WRONG_VALUE, InputError
from maskstack.explanation import storage, view
from maskstack.explanation.checking import check_parts
from maskstack.geometry import Geometry
from maskstack.reliability import Trust
from maskstack.reliability.evidence import Contrast, Regions
from maskstack.tensors import json_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from maskstack.draw.overlay import Style

_TENSORS = (
    "saliency", "stack", "opening", "spread", "masks", "score_before", "score_hidden", "score_under_masks",
    "score_under_stack", "steps", "forward_passes", "backward_passes",
)  # fmt: skip
_NAMED = 3  # Number of images that the one line of an explanation names.
_PARTS = ("trust", "regions", "contrast")
_TUPLES = ("target", "target_name")


@dataclass(frozen=True, eq=False)
class Explanation:
    """Maps of B images and everything needed to read, judge and repeat them.

    Attributes:
        saliency: The map, B x 1 x H x W, float32 in [0, 1].
        stack: The stacked masks, B x 1 x H x W in [0, 1]; not scaled by their maximum where the setting ``keep`` is 0.
        opening: What was added to the log-odds of each stack after the search so that it keeps the score, B; 0 where
            the search's own stack kept it.
        spread: Standard deviation of the members' masks at each pixel, B x 1 x H x W; 0 for one member. Large values
            mean that the search is not sure about that place.
        masks: The upsampled mask of each size, B x S x H x W in [0, 1].
        grids: The learned grids, one B x h x w tensor a size.
        method: Name of the method that made the map.
        objective: Name of the objective that was kept.
        target: Class index of each image, or None if the objective is not about a class.
        target_name: Name of each target, where class names are known.
        score_before: The objective on each image, B.
        score_hidden: The objective on each fill alone, B x F.
        score_under_masks: The objective under each size's mask, B x S, over the first fill.
        score_under_stack: The objective under the stack, B, over the first fill.
        steps: Steps that a member took for each size, B x S.
        forward_passes: Images sent forward for each image, B, the prediction included.
        backward_passes: Images sent backward for each image, B.
        seconds: Wall time of the batch, from the prediction to the last pass; ``maskstack explain`` keeps each photo's
            share.
        settings: The settings of the run; with the seed among them, the same map can be made again.
        versions: Versions of this package, torch and Python, and the kind of device.
        passes_run: How the passes were run, such as ``fp32, channels last``.
        trust: How far the maps can be trusted; ``trust.verdict(row)`` says it in a word and a sentence.
        notes: Other data to keep with the result, such as the network's spec and the photo's name.
        regions: Several regions that each suffice, where :meth:`maskstack.MDM.regions` was asked for them.
        contrast: What would change the answer, where :meth:`maskstack.MDM.contrast` was asked for it.
        geometry: Where the network's input lies in each photo; empty for images given as tensors.
        output: What the network's output is, such as ``probabilities of 1000 classes``; empty if it was not read.
        output_doubt: Why this is not certain, and how to choose; empty if it is certain.
    """

    saliency: Tensor
    stack: Tensor
    opening: Tensor
    spread: Tensor
    masks: Tensor
    grids: tuple[Tensor, ...]
    method: str
    objective: str
    target: tuple[int, ...] | None
    target_name: tuple[str, ...] | None
    score_before: Tensor
    score_hidden: Tensor
    score_under_masks: Tensor
    score_under_stack: Tensor
    steps: Tensor
    forward_passes: Tensor
    backward_passes: Tensor
    seconds: float
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    passes_run: str
    trust: Trust
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    regions: Regions | None = None
    contrast: Contrast | None = None
    geometry: tuple[Geometry | None, ...] = ()
    output: str = ""
    output_doubt: str = ""

    def __len__(self) -> int:
        return len(self.saliency)

    def __repr__(self) -> str:
        words = [f"{len(self)} image{'' if len(self) == 1 else 's'} of {' x '.join(map(str, self.saliency.shape[2:]))}"]
        for row in range(min(len(self), _NAMED)):
            word = self.trust.verdict(row).word
            words.append(" ".join(view.class_title(self, row).split()) + (f" ({word})" if word else ""))
        more = ", ..." if len(self) > _NAMED else ""
        return f"Explanation({self.method}: {', '.join(words)}{more})"

    def to(self, device: torch.device) -> Explanation:
        """The same explanation with its tensors on another device."""
        changes: dict[str, Any] = {name: getattr(self, name).to(device) for name in _TENSORS}
        changes["grids"] = tuple(grid.to(device) for grid in self.grids)
        changes |= {name: part.to(device) for name, part in self._parts().items()}
        return dataclasses.replace(self, **changes)

    @property
    def area(self) -> Tensor:
        """Share of the image that the stack leaves open, B."""
        return self.stack.mean(dim=tuple(range(1, self.stack.ndim)))

    @property
    def area_per_size(self) -> Tensor:
        """Share of the image that each size's mask leaves open, B x S."""
        return self.masks.mean(dim=tuple(range(2, self.masks.ndim)))

    @property
    def agreement(self) -> Tensor:
        """Mean rank correlation of each two members' masks, B; NaN where there is one member."""
        return self.trust.agreement

    @property
    def seed(self) -> int | None:
        """Seed of the run."""
        seed = self.settings.get("seed")
        return None if seed is None else int(seed)

    def summary(self) -> list[dict[str, Any]]:
        """The numbers of each image, as JSON can hold them: None for what is NaN or infinite."""
        return [
            {
                "target": None if self.target is None else self.target[row],
                "target_name": None if self.target_name is None else self.target_name[row],
                "objective": self.objective,
                "score_before": json_numbers(self.score_before[row]),
                "score_hidden": json_numbers(self.score_hidden[row]),
                "score_under_masks": json_numbers(self.score_under_masks[row]),
                "score_under_stack": json_numbers(self.score_under_stack[row]),
                "area": json_numbers(self.area[row]),
                "area_per_size": json_numbers(self.area_per_size[row]),
                "steps": self.steps[row].tolist(),
                "forward_passes": int(self.forward_passes[row]),
                "backward_passes": int(self.backward_passes[row]),
                **{name: part.as_dict(row) for name, part in self._parts().items()},
            }
            for row in range(len(self))
        ]

    def select(self, row: int) -> Explanation:
        """The explanation of one image of the batch, as a batch of one.

        The seconds stay those of the whole batch, because the time of a single image was not measured.

        Raises:
            InputError: There is no such image.
        """
        if not 0 <= row < len(self):
            raise InputError(f"image {row} is out of range; the explanation holds {len(self)}")
        one = slice(row, row + 1)
        changes: dict[str, Any] = {name: getattr(self, name)[one] for name in _TENSORS}
        changes["grids"] = tuple(grid[one] for grid in self.grids)
        for name in _TUPLES:
            value = getattr(self, name)
            changes[name] = None if value is None else value[one]
        changes |= {name: part.select(row) for name, part in self._parts().items()}
        changes["geometry"] = self.geometry[one]
        return dataclasses.replace(self, **changes)

    def photo_map(self, row: int = 0, *, outside: float = 0.0) -> NDArray[np.float32]:
        """One image's map in the frame of its upright photo; for a tensor, the map as it is.

        Args:
            row: Which image of the batch.
            outside: Value of the pixels that the network did not see.

        Returns:
            Height x width of the photo, in [0, 1].

        Raises:
            InputError: There is no such image.
        """
        one = self.select(row)
        values = one.saliency[0, 0].detach().float().cpu().numpy()
        place = one.geometry[0] if one.geometry else None
        return values if place is None else place.carry_back(values, outside=outside)

    def overlay(
        self,
        photo: Any,
        *,
        row: int = 0,
        style: Style = "contour",
        opacity: float | None = None,
        colours: str = "magma",
        badge: bool = True,
    ) -> Image:
        """Draw the region and the map over the photo, at the photo's own size, with the verdict in a corner.

        Args:
            photo: The photo as a PIL image or file name, or what the network saw.
            row: Which image of the batch.
            style: ``contour``, ``heat`` or ``masked``, see :func:`maskstack.draw.overlay`.
            opacity: Opacity of the colours, or of the veil of ``masked``; None for the style's own.
            colours: Name of a matplotlib colour map.
            badge: Whether to write the verdict into a corner.

        Raises:
            InputError: The photo is not the explained one, or an option cannot be used.
        """
        return view.overlay(self, photo, row=row, badge=badge, style=style, opacity=opacity, colours=colours)

    def plot(
        self,
        image: Any,
        *,
        row: int = 0,
        title: str | None = None,
        grids: bool = False,
        style: Style = "contour",
        opacity: float | None = None,
        colours: str = "magma",
    ) -> Figure:
        """Draw one image's verdict, photo, region, masked photo, map and the spread of the members in a row.

        Args:
            image: The photo as a PIL image or file name; or what the network saw, as a PIL image or an H x W x 3 array
                in [0, 255] (or in [0, 1] if floating).
            row: Which image of the batch.
            title: Title of the figure; by default the target and its score.
            grids: Whether to add a row with the mask of each size.
            style: Style of the region, see :meth:`overlay`.
            opacity: Opacity of its colours, see :meth:`overlay`.
            colours: Name of a matplotlib colour map.

        Raises:
            InputError: The image is not the explained one, or an option cannot be used.
        """
        options = {"style": style, "opacity": opacity, "colours": colours}
        return view.figure(self, image, row=row, heading=title, grids=grids, options=options)

    def _repr_html_(self) -> str:
        """HTML for a notebook: the maps and the measured values, at most 400 kB for any number of images."""
        from maskstack.draw.html import MOST, MapPanel, as_html  # matplotlib is loaded only to draw

        shown = []
        for row in range(min(len(self), MOST)):
            what = view.shown(self, row)
            words = self._words(row)
            shown.append(MapPanel(what.saliency, view.class_title(self, row), words, what.word, what.region))
        heading = f"{self.method}: {self.objective}, {len(self)} image{'' if len(self) == 1 else 's'}"
        heading += f"; output: {self.output}" if self.output else ""
        return as_html(shown, heading=heading, more=len(self) - len(shown))

    def _parts(self) -> dict[str, Trust | Regions | Contrast]:
        """What was measured or found beside the maps, by field."""
        parts = {name: getattr(self, name) for name in _PARTS}
        return {name: part for name, part in parts.items() if part is not None}

    def _words(self, row: int) -> list[str]:
        words = [f"score {float(self.score_before[row]):.3g}"]
        if self.masks.shape[1]:
            words[0] += f", kept {float(self.score_under_stack[row]):.3g}, area {float(self.area[row]):.0%}"
        verdict = self.trust.verdict(row)
        return [*words, verdict.sentence]

    def save(self, path: str | Path, *, readable: bool = True) -> Path:
        """Save the tensors as safetensors, and all else as JSON, in its header and in a readable file beside it.

        Each of the two files is written completely or not at all; :meth:`load` needs only the first.

        Args:
            path: Path of the safetensors file; ``.safetensors`` is added if it does not end so.
            readable: Whether the readable file is written too.

        Raises:
            OutputError: The file cannot be written.
        """
        tensors: dict[str, Tensor] = {name: getattr(self, name) for name in _TENSORS}
        tensors |= {f"grid.{index}": grid for index, grid in enumerate(self.grids)}
        for part, found in self._parts().items():
            tensors |= {f"{part}.{name}": values for name, values in found.tensors().items()}
        names = [field.name for field in dataclasses.fields(self) if field.name not in (*_TENSORS, *_PARTS, "grids")]
        fields = {name: getattr(self, name) for name in names} | {"problems": self.trust.problems}
        fields["geometry"] = [None if place is None else place.as_dict() for place in self.geometry]
        return storage.save(path, tensors, fields, self.summary() if readable else None)

    @classmethod
    def load(cls, path: str | Path) -> Explanation:
        """Load what :meth:`save` wrote.

        The digest of the file is compared with its content, and all shapes and ranges are checked.

        Warns:
            UncheckedWarning: An older version wrote the file, without a digest.

        Raises:
            InputError: The file is missing, damaged, or not an explanation.
        """
        tensors, fields = storage.load(path)
        try:
            parts: dict[str, dict[str, Tensor]] = {"grid": {}, **{name: {} for name in _PARTS}}
            for name in [name for name in tensors if "." in name]:
                kind, _, own = name.partition(".")
                parts[kind][own] = tensors.pop(name)
            grids = tuple(parts["grid"][str(index)] for index in range(len(parts["grid"])))
            fields |= {name: None if fields[name] is None else tuple(fields[name]) for name in _TUPLES}
            # Files written before there was a geometry have none.
            places = fields.pop("geometry", [])
            geometry = tuple(None if place is None else Geometry.read(place) for place in places)
            problems = tuple(fields.pop("problems"))
            trust = Trust(**parts["trust"], problems=problems) if parts["trust"] else Trust.not_measured(problems)
            regions = Regions(**parts["regions"]) if parts["regions"] else None
            contrast = Contrast(**parts["contrast"]) if parts["contrast"] else None
            check_parts(tensors, grids, fields, trust)
            if any(len(values) != len(tensors["saliency"]) for part in _PARTS for values in parts[part].values()):
                raise ValueError("what was measured does not have one row for each image")
            found = {"grids": grids, "trust": trust, "regions": regions, "contrast": contrast, "geometry": geometry}
            return cls(**{**tensors, **fields, **found})
        except (*WRONG_VALUE, RuntimeError) as error:
            raise InputError(f"{path} lacks parts of an explanation: {error}; get a complete copy") from error
