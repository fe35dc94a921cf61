"""The result of an explanation: the map, its masks and scores, and its cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from maskstack.errors import InputError
from maskstack.explanation import storage
from maskstack.explanation.checking import check_parts
from maskstack.trust.verdict import Trust

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TENSORS = (
    "saliency", "stack", "opening", "spread", "agreement", "masks", "score_before", "score_hidden", "score_under_masks",
    "score_under_stack", "steps", "forward_passes", "backward_passes",
)  # fmt: skip
_TUPLES = ("target", "target_name", "degenerate")


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
        agreement: Mean rank correlation of each two members' masks, B; NaN where there is one member.
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
        seconds: Wall time of the batch, from the prediction to the last pass.
        settings: The settings of the run; with the seed among them, the same map can be made again.
        versions: Versions of this package, torch and Python, and the kind of device.
        passes_run: How the passes were run, such as ``fp32, channels last``.
        degenerate: For each image None, or the reason why its map should not be trusted.
        notes: Other data to keep with the result, such as the network's spec and the photo's name.
        trust: How far the maps can be trusted, where it was measured.
    """

    saliency: Tensor
    stack: Tensor
    opening: Tensor
    spread: Tensor
    agreement: Tensor
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
    degenerate: tuple[str | None, ...]
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    trust: Trust | None = None

    def __len__(self) -> int:
        return len(self.saliency)

    def to(self, device: torch.device) -> Explanation:
        """The same explanation with its tensors on another device."""
        changes: dict[str, Any] = {name: getattr(self, name).to(device) for name in _TENSORS}
        changes["grids"] = tuple(grid.to(device) for grid in self.grids)
        changes["trust"] = None if self.trust is None else self.trust.to(device)
        return dataclasses.replace(self, **changes)

    @property
    def area(self) -> Tensor:
        """Share of the image that the stack leaves open, B."""
        return self.stack.mean(dim=(1, 2, 3))

    @property
    def area_per_size(self) -> Tensor:
        """Share of the image that each size's mask leaves open, B x S."""
        return self.masks.mean(dim=(2, 3))

    @property
    def seed(self) -> int | None:
        """Seed of the run."""
        seed = self.settings.get("seed")
        return None if seed is None else int(seed)

    def doubts(self, row: int) -> list[str]:
        """All reasons not to trust one image's map, a sentence each; an empty list does not prove the map right."""
        low = [] if self.trust is None else self.trust.doubts(row)
        own = self.degenerate[row]
        return low if own is None or own in low else [f"do not trust this map: {own}", *low]

    def summary(self) -> list[dict[str, Any]]:
        """The numbers of each image, as JSON can hold them: None for what is NaN or infinite."""
        return [
            {
                "target": None if self.target is None else self.target[row],
                "target_name": None if self.target_name is None else self.target_name[row],
                "objective": self.objective,
                "score_before": _json_numbers(self.score_before[row]),
                "score_hidden": _json_numbers(self.score_hidden[row]),
                "score_under_masks": _json_numbers(self.score_under_masks[row]),
                "score_under_stack": _json_numbers(self.score_under_stack[row]),
                "agreement": _json_numbers(self.agreement[row]),
                "area": _json_numbers(self.area[row]),
                "area_per_size": _json_numbers(self.area_per_size[row]),
                "steps": self.steps[row].tolist(),
                "forward_passes": int(self.forward_passes[row]),
                "backward_passes": int(self.backward_passes[row]),
                "degenerate": self.degenerate[row],
                "trust": None if self.trust is None else self.trust.numbers(row),
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
        changes["trust"] = None if self.trust is None else self.trust.select(row)
        return dataclasses.replace(self, **changes)

    def plot(self, image: Any, *, row: int = 0, title: str | None = None) -> Figure:
        """Draw one image's photo, the overlay, the masked photo and, if there are masks, the masks and their stack.

        Args:
            image: What the network saw, as a PIL image or an H x W x 3 array in [0, 255] (or in [0, 1] if floating).
            row: Which image of the batch.
            title: Title of the figure; by default the target and its score.
        """
        from maskstack.draw.figure import explanation_figure  # matplotlib is loaded only to draw

        one = self.select(row)
        name = one.target_name[0] if one.target_name else "" if one.target is None else f"class {one.target[0]}"
        masks = one.masks[0].cpu().numpy()
        score = f"{one.objective.removeprefix('class_')} {float(one.score_before[0]):.3g}"
        if len(masks):
            score += f", kept {float(one.score_under_stack[0]):.3g}"
        return explanation_figure(
            image,
            masks=masks,
            # Without masks, the grids are the method's own.
            sizes=[(grid.shape[1], grid.shape[2]) for grid in one.grids] if len(masks) else [],
            stack=one.stack[0, 0].cpu().numpy(),
            saliency=one.saliency[0, 0].cpu().numpy(),
            title=title if title is not None else ": ".join(part for part in (name, score) if part),
        )

    def _repr_html_(self) -> str:
        """HTML for a notebook: the maps and the measured values, at most 400 kB for any number of images."""
        from maskstack.draw.html import MOST, MapPanel, as_html  # matplotlib is loaded only to draw

        shown = [
            MapPanel(self.saliency[row, 0].detach().float().cpu().numpy(), self._title(row), self._words(row))
            for row in range(min(len(self), MOST))
        ]
        heading = f"{self.method}: {self.objective}, {len(self)} image{'' if len(self) == 1 else 's'}"
        return as_html(shown, heading=heading, more=len(self) - len(shown))

    def _title(self, row: int) -> str:
        if self.target_name:
            return self.target_name[row]
        return self.objective if self.target is None else f"class {self.target[row]}"

    def _words(self, row: int) -> list[str]:
        words = [f"score {float(self.score_before[row]):.3g}"]
        if self.masks.shape[1]:
            words[0] += f", kept {float(self.score_under_stack[row]):.3g}, area {float(self.area[row]):.0%}"
        if self.trust is not None:
            words.append(f"trust: {self.trust.words(row)}")
        return words + self.doubts(row)

    def save(self, path: str | Path, *, readable: bool = True) -> Path:
        """Save the tensors as safetensors, and all else as JSON, in its header and in a readable file beside it.

        Each of the two files is written completely or not at all; :meth:`load` needs only the first.

        Args:
            path: Path of the safetensors file; the suffix is added if it has none.
            readable: Whether the readable file is written too.

        Raises:
            OutputError: The file cannot be written.
        """
        tensors: dict[str, Tensor] = {name: getattr(self, name) for name in _TENSORS}
        tensors |= {f"grid.{index}": grid for index, grid in enumerate(self.grids)}
        if self.trust is not None:
            tensors |= {f"trust.{name}": values for name, values in self.trust.tensors().items()}
        names = [field.name for field in dataclasses.fields(self) if field.name not in (*_TENSORS, "grids", "trust")]
        return storage.save(
            path, tensors, {name: getattr(self, name) for name in names}, self.summary() if readable else None
        )

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
            parts: dict[str, dict[str, Tensor]] = {"grid": {}, "trust": {}}
            for name in [name for name in tensors if "." in name]:
                kind, _, own = name.partition(".")
                parts[kind][own] = tensors.pop(name)
            grids = tuple(parts["grid"][str(index)] for index in range(len(parts["grid"])))
            fields |= {name: None if fields[name] is None else tuple(fields[name]) for name in _TUPLES}
            # Files written before there was trust have none.
            trust = Trust(**parts["trust"]) if parts["trust"] else None
            check_parts(tensors, grids, fields)
            if any(len(values) != len(tensors["saliency"]) for values in parts["trust"].values()):
                raise ValueError("trust does not have one row for each image")
            return cls(**{**tensors, **fields, "grids": grids, "trust": trust})
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise InputError(f"{path} lacks parts of an explanation: {error}; get a complete copy") from error


def _json_numbers(values: Tensor) -> Any:
    """A number, or a list of them; JSON knows no NaN and no infinity."""
    if values.ndim:
        return [_json_numbers(value) for value in values]
    return float(values) if torch.isfinite(values) else None
