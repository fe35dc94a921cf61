"""Draws ``docs/images/picture-styles.webp``: the designs that were compared for the pictures, on the sample photos.

Usage: python docs/make_picture_sheet.py
"""

from pathlib import Path

from PIL import Image, ImageDraw

from maskstack import MDM, load_model, sample_photos
from maskstack.draw.fonts import pil_font

SIDE, LINE = 300, 26
DESIGNS = {
    "contour (the default)": {"style": "contour"},
    "contour, viridis": {"style": "contour", "colours": "viridis"},
    "contour, strong inferno": {"style": "contour", "colours": "inferno", "opacity": 0.6},
    "heat": {"style": "heat"},
    "masked": {"style": "masked"},
}


def main() -> None:
    """Explain the sample photos, and draw each in every design, and the default in grey."""
    mdm = MDM(load_model("bundled"))
    rows = []
    for photo in sample_photos():
        found = mdm(photo)
        print(found)
        drawn = [photo, *(found.overlay(photo, badge=False, **options) for options in DESIGNS.values())]
        grey = found.overlay(photo).convert("L").convert("RGB")
        rows.append([_fitted(picture) for picture in (*drawn, grey)])
    names = ["photo", *DESIGNS, "the default in grey, with its verdict"]
    sheet = Image.new("RGB", (SIDE * len(names), LINE + sum(row[0].height + 8 for row in rows)), "white")
    pen = ImageDraw.Draw(sheet)
    for column, name in enumerate(names):
        pen.text((column * SIDE + 4, 5), name, fill="black", font=pil_font(14, name))
    y = LINE
    for row in rows:
        for column, picture in enumerate(row):
            sheet.paste(picture, (column * SIDE + 4, y))
        y += row[0].height + 8
    sheet.save(Path(__file__).parent / "images" / "picture-styles.webp", quality=82, method=6)


def _fitted(picture: Image.Image) -> Image.Image:
    height = round((SIDE - 8) * picture.height / picture.width)
    return picture.resize((SIDE - 8, height), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
