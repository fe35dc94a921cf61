"""Explains photographs with MDM and with Grad-CAM, and draws both beside each other, each with its verdict.

Usage: python docs/make_sheet.py [FOLDER] [--out out/sheet] [--every 15] [--count 20] [--model bundled]

Without a folder, the photographs are the sample photos of the package. Of a folder, every n-th image of the sorted list
is taken, so that nothing is chosen by looking. A run that was interrupted continues where it stopped.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from maskstack import Explanation, load_model, sample_photos, trust
from maskstack.draw.fonts import pil_font
from maskstack.explainers.table import make_explainer
from maskstack.files import write_whole
from maskstack.models import LoadedModel, open_photo

METHODS = ("mdm", "gradcam")
KINDS = (".jpg", ".jpeg", ".png", ".webp")
SIDE, LINE, TABLE = 300, 24, "verdicts.md"


def explained(net: LoadedModel, method: str, photo: Image.Image) -> Explanation:
    """A method's map of the predicted class, with its trust."""
    images, places = net.prepare_photos(photo)
    found = replace(make_explainer(method, net)(images), geometry=places)
    if found.trust.verdict(0).word != "not measured":
        return found
    return replace(found, trust=trust(net, images, found.saliency, found.target[0] if found.target else None))


def main() -> None:
    """Explain, draw and print the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, default=Path("out/sheet"))
    parser.add_argument("--every", type=int, default=1, help="take every n-th image of the sorted list")
    parser.add_argument("--count", type=int, default=20, help="take at most this many images")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--columns", type=int, default=2, help="photographs beside each other")
    chosen = parser.parse_args()
    photos = dict(zip(("cat", "coffee", "cameraman"), sample_photos(), strict=True))
    if chosen.folder is not None:
        files = sorted(file for file in chosen.folder.rglob("*") if file.suffix.lower() in KINDS)
        files = files[:: chosen.every][: chosen.count]
        photos = {file.relative_to(chosen.folder).with_suffix("").as_posix(): open_photo(file) for file in files}
    net = load_model(chosen.model)
    torch.manual_seed(0)
    chosen.out.mkdir(parents=True, exist_ok=True)
    cells, lines = [], ["| photograph | method | class | verdict | why |", "|---|---|---|---|---|"]
    for number, (name, photo) in enumerate(photos.items()):
        row = [_fitted(photo)]
        for method in METHODS:
            place = chosen.out / f"{number:02}-{method}.safetensors"
            found = Explanation.load(place) if place.exists() else explained(net, method, photo)
            if not place.exists():
                found.save(place)
            verdict, label = found.trust.verdict(0), found.target_name[0] if found.target_name else ""
            sure = found.trust.numbers(0).probability
            lines.append(
                f"| {name} | {method} | {label}{'' if sure is None else f' {sure:.0%}'} | {verdict.word} "
                f"| {'; '.join(verdict.reasons) or verdict.sentence} |"
            )
            print(lines[-1], flush=True)
            row.append(_fitted(found.overlay(photo)))
        cells.append(_joined([(row[0], name), *zip(row[1:], METHODS, strict=True)]))
    sheet = _table(cells, chosen.columns)
    write_whole(chosen.out / "sheet.webp", lambda file: sheet.save(file, "WEBP", quality=80, method=6))
    write_whole(chosen.out / TABLE, lambda file: file.write_text("\n".join(lines) + "\n", encoding="utf-8"))


def _fitted(picture: Image.Image) -> Image.Image:
    """The picture in RGB, its longer side of :data:`SIDE` pixels."""
    scale = SIDE / max(picture.size)
    size = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _joined(pictures: list[tuple[Image.Image, str]]) -> Image.Image:
    """Pictures beside each other, each below its name."""
    drawn = Image.new("RGB", ((SIDE + 6) * len(pictures), LINE + max(each.height for each, _ in pictures)), "white")
    pen = ImageDraw.Draw(drawn)
    for column, (picture, name) in enumerate(pictures):
        pen.text((column * (SIDE + 6) + 2, 4), name, fill="black", font=pil_font(14, name))
        drawn.paste(picture, (column * (SIDE + 6), LINE))
    return drawn


def _table(cells: list[Image.Image], columns: int) -> Image.Image:
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) + 8 for row in rows]
    drawn = Image.new("RGB", (max(cell.width for cell in cells) * min(columns, len(cells)), sum(heights)), "white")
    for index, row in enumerate(rows):
        for column, cell in enumerate(row):
            drawn.paste(cell, (column * cell.width, sum(heights[:index])))
    return drawn


if __name__ == "__main__":
    main()
