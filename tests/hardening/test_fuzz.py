"""Fuzzing of image files and of networks' outputs: whatever comes in, the result is an explanation or one sentence.

``make fuzz MINUTES=10`` runs for as long as it is told; an ordinary run tries a few inputs.
"""

from __future__ import annotations

import io
import os
import random
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from tests.hardening.damage import damaged
from torch import Tensor, nn

from maskstack import MDM, Explanation
from maskstack.errors import MaskstackError
from maskstack.models import open_photo

MINUTES = float(os.environ.get("MASKSTACK_FUZZ_MINUTES", "0"))
SEED = int(os.environ.get("MASKSTACK_FUZZ_SEED", "0"))
FEW = 40
"""Inputs of each kind in an ordinary run."""


def rounds() -> Iterator[random.Random]:
    """Generators of random numbers, one for each input, for half of the minutes or a few times."""
    until = time.monotonic() + MINUTES * 30
    number = 0
    while number < FEW or time.monotonic() < until:
        yield random.Random(f"{SEED} {number}")
        number += 1


def is_sentence(error: BaseException) -> bool:
    return isinstance(error, MaskstackError) and "\n" not in str(error) and len(str(error)) > 20


def files(folder: Path) -> list[tuple[str, bytes]]:
    """Whole files of many formats and modes, and medical ones where their packages are installed."""
    noise = np.random.default_rng(0)
    colours = Image.fromarray(noise.integers(0, 256, (19, 23, 3), dtype=np.uint8))
    deep = Image.fromarray(noise.integers(0, 4096, (19, 23)).astype(np.uint16))
    pictures: dict[str, Image.Image] = {
        "RGB": colours, "L": colours.convert("L"), "P": colours.convert("P"), "1": colours.convert("1"),
        "RGBA": colours.convert("RGBA"), "LA": colours.convert("LA"), "CMYK": colours.convert("CMYK"),
        "I;16": deep, "F": deep.convert("F"), "I": deep.convert("I"), "YCbCr": colours.convert("YCbCr"),
    }  # fmt: skip
    found = []
    for kind in ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP", "PPM", "TGA", "JPEG2000", "ICO", "PCX", "SGI", "DDS"):
        for mode, picture in pictures.items():
            content = io.BytesIO()
            several = {"save_all": True, "append_images": [picture]} if kind in ("TIFF", "GIF", "WEBP") else {}
            try:
                picture.save(content, kind, **several)
            except (OSError, ValueError, KeyError):
                continue
            found.append((f"{mode.replace(';', '')}.{kind.lower()}", content.getvalue()))
    try:
        import nibabel

        for name, kind in (("short.nii", np.int16), ("float.nii.gz", np.float32), ("colour.nii", np.uint8)):
            volume = noise.normal(0, 300, (10, 11, 12)).astype(kind)
            nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), folder / name)
            found.append((name, (folder / name).read_bytes()))
    except ImportError:
        pass
    try:
        from tests.models.test_levels import dicom

        found.append(
            ("a.dcm", dicom(folder / "a.dcm", noise.integers(0, 4096, (9, 12)).astype(np.uint16)).read_bytes())
        )
    except (ImportError, pytest.skip.Exception):
        pass
    return found


def test_damaged_image_files_are_opened_or_one_sentence(tmp_path, capsys) -> None:
    whole, seen = files(tmp_path), Counter()
    for chance in rounds():
        name, content = chance.choice(whole)
        for _ in range(chance.randrange(4)):
            content = next(
                iter(list(damaged(content, 6, seed=chance.randrange(2**30)))[chance.randrange(5) :]), content
            )
            content = content or b"x"
        path = tmp_path / (name if chance.random() < 0.8 else chance.choice(whole)[0])
        path.write_bytes(content)
        options: dict[str, Any] = {}
        if chance.random() < 0.3:
            options["page"] = chance.choice([0, 1, 2, -1, 99])
        if chance.random() < 0.3:
            options["window"] = chance.choice(["40/400", "0/1", "-600/1500", "x", "1e30/1e-30"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                opened = open_photo(path, max_pixels=10**6, **options)
                assert opened.mode == "RGB"
                seen["opened"] += 1
            except Exception as error:
                assert is_sentence(error), (name, options, content.hex()[:4000])
                seen["one sentence"] += 1
    report(capsys, "image files", seen)


class Parts(NamedTuple):
    first: Any
    second: Any


class Anything(nn.Module):
    """A small network followed by random operations, packed in a random way."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.classes = chance.choice([1, 1, 2, 3, 5, 40, 128])
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=chance.random() < 0.5), nn.AdaptiveAvgPool2d(1),
            nn.Flatten(), nn.Linear(6, self.classes),
        ).eval()  # fmt: skip
        self.operations = [chance.choice(OPERATIONS) for _ in range(chance.choice([0, 1, 1, 1, 2, 3]))]
        self.pack = chance.choice(PACKS)

    def forward(self, images: Tensor) -> Any:
        values = self.body(images)
        for operation in self.operations:
            values = operation(values)
        return self.pack(values, images)


OPERATIONS: list[Callable[[Tensor], Any]] = [
    lambda x: x.softmax(1), lambda x: x.softmax(-1), lambda x: x.softmax(0), lambda x: x.log_softmax(1),
    lambda x: x.sigmoid(), lambda x: 1 - x, lambda x: x * 1e4, lambda x: x * 1e30, lambda x: -x, lambda x: x - 300,
    lambda x: x.log(), lambda x: x / 0, lambda x: x * float("nan"), lambda x: x.half(), lambda x: x.double(),
    lambda x: x.round(), lambda x: x.detach(), lambda x: x.argmax(1), lambda x: x > 0, lambda x: x.long(),
    lambda x: x.squeeze(), lambda x: x[:, 0], lambda x: x[:, :0], lambda x: x.mean(), lambda x: x.sum(0),
    lambda x: x[..., None, None], lambda x: x[:, None].expand(-1, 3, *x.shape[1:]), lambda x: x.T, lambda x: x.relu_(),
    lambda x: x.sigmoid().mul_(2), lambda x: torch.complex(x, x), lambda x: x.clamp(0, 1), lambda x: x.tanh(),
    lambda x: nn.functional.normalize(x), lambda x: x.softmax(1) * 100, lambda x: x.cumsum(1), lambda x: x.to_sparse(),
    lambda x: x.expand(2, *x.shape), lambda x: x.bfloat16(), lambda x: x.exp(), lambda x: x.unsqueeze(0),
    lambda x: x.masked_fill(x < 0, -torch.inf), lambda x: x.masked_fill(x > 0, torch.nan), lambda x: x[:1],
    lambda x: torch.cat([x, x]), lambda x: x.reshape(-1), lambda x: x.to(torch.uint8), lambda x: x.flip(0),
]  # fmt: skip
PACKS: list[Callable[[Any, Tensor], Any]] = [
    *[lambda x, images: x] * 30,
    lambda x, images: (x,), lambda x, images: [x, x], lambda x, images: (images, x), lambda x, images: {"out": x},
    lambda x, images: {"a": x, "b": images}, lambda x, images: Parts(x, images), lambda x, images: Parts(None, x),
    lambda x, images: (None, {"logits": x}), lambda x, images: {}, lambda x, images: [], lambda x, images: None,
    lambda x, images: "cat", lambda x, images: 3.0, lambda x, images: {"x": {"y": [x]}}, lambda x, images: object(),
    lambda x, images: x.detach().numpy(), lambda x, images: x.tolist(), lambda x, images: iter([x]),
    lambda x, images: {1: x, None: images}, lambda x, images: [[x], [x]], lambda x, images: x + images.mean(),
]  # fmt: skip
IMAGES: list[Callable[[], Any]] = [
    *[lambda: torch.rand(2, 3, 12, 14)] * 30,
    *[lambda: torch.rand(1, 3, 12, 14)] * 30,
    lambda: torch.rand(3, 12, 14), lambda: torch.rand(2, 1, 12, 14), lambda: torch.rand(1, 3, 9, 9).double(),
    lambda: torch.rand(1, 3, 9, 9).half(), lambda: torch.zeros(1, 3, 9, 9), lambda: torch.full((1, 3, 9, 9), 1e30),
    lambda: torch.full((1, 3, 9, 9), torch.nan), lambda: torch.rand(0, 3, 9, 9), lambda: torch.ones(1, 3, 9, 9).long(),
    lambda: torch.rand(1, 3, 2, 2), lambda: torch.rand(1, 3, 1, 90), lambda: np.zeros((1, 3, 9, 9)), lambda: None,
    lambda: "no file.png", lambda: Image.new("RGB", (9, 9)), lambda: torch.rand(1, 3, 4, 9, 9), lambda: [1, 2],
]  # fmt: skip
TARGETS = [
    *[None] * 20,
    *[0] * 10,
    1,
    -1,
    99,
    [0, 1],
    "cat",
    torch.tensor([0, 0]),
    1.5,
    (lambda output: output[:, 0]),
    True,
]
CHOICES = [None] * 40 + ["logits", "number", "probability", "map", "embedding", 0, 1, 7, "b", "first:logits", "nothing"]


@pytest.mark.slow
def test_any_output_of_a_network_is_explained_or_one_sentence(capsys) -> None:
    seen = Counter()
    for chance in rounds():
        model, images = Anything(chance), chance.choice(IMAGES)()
        target, choice = chance.choice(TARGETS), chance.choice(CHOICES)
        objective = chance.choice(["probability", "probability", "logit", "margin", "log_probability"])
        before = {name: value.clone() for name, value in model.state_dict().items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = MDM(model, sizes=(2, 3), steps=2, members=1, output=choice, objective=objective)(images, target)
                assert isinstance(found, Explanation)
                assert torch.isfinite(found.saliency).all()
                assert len(found.summary()) == len(images)
                seen["explained"] += 1
            except AssertionError:
                raise
            except Exception as error:
                assert is_sentence(error), (type(error), str(error))
                seen["one sentence"] += 1
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    report(capsys, "outputs of networks", seen)


def report(capsys: Any, what: str, seen: Counter[str]) -> None:
    if MINUTES:
        with capsys.disabled():
            print(f"\nfuzzed {what}: {sum(seen.values())}; {dict(seen)}")
