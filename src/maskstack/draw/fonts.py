"""Fonts in which all letters of a text can be drawn: class names are written in many scripts."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import findSystemFonts, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from PIL import ImageFont

OWN = "DejaVu Sans"
"""Matplotlib's own font, so that pictures look alike everywhere."""

_OWN_FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
_OWN_FILE = _OWN_FOLDER / "DejaVuSans.ttf"

_NOT_DRAWN = frozenset(map(ord, "\n\t"))


def pil_font(size: int, text: str = "", *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """A font for Pillow: matplotlib's own or, if that lacks letters of the text, an installed one that has them all.

    Args:
        size: Height in pixels.
        text: What will be written.
        bold: Whether the letters are bold; those of another font than matplotlib's own are not.
    """
    own, letters = _OWN_FILE.with_name("DejaVuSans-Bold.ttf") if bold else _OWN_FILE, _drawn(text)
    others = () if letters <= _letters(own) else _installed()
    return _opened(next((file for file in others if letters <= _letters(file)), own), size)


def use_installed_fonts(figure: Figure) -> None:
    """Let the texts of a figure, in place, take letters that matplotlib's own font lacks from installed fonts."""
    for text in figure.findobj(Text):
        missing, families = _drawn(text.get_text()) - _letters(_OWN_FILE), [OWN]
        for file in _installed() if missing else ():
            if found := missing & _letters(file):
                missing -= found
                families.append(_family(file))
        if len(families) > 1:
            text.set_fontfamily(families)


@cache
def _installed() -> tuple[Path, ...]:
    """The upright fonts of the system and of matplotlib, those without serifs and neither bold nor light first."""
    own = [_OWN_FOLDER / name for name in ("STIXGeneral.ttf", "DejaVuSerif.ttf")]
    files = [file for file in map(Path, findSystemFonts()) if not re.search("italic|oblique", file.stem, re.IGNORECASE)]

    def order(file: Path) -> tuple[bool, bool, str]:
        return "sans" not in file.stem.lower(), not re.search("regular", file.stem, re.IGNORECASE), file.stem

    return (*sorted(files, key=order), *own)


@cache
def _family(file: Path) -> str:
    """The family of a font, which matplotlib knows from now on: its list of fonts may be older than the file."""
    fontManager.addfont(file)
    return FT2Font(str(file)).family_name


def _drawn(text: str) -> frozenset[int]:
    """The letters of a text that are drawn, as numbers of Unicode."""
    return frozenset(map(ord, text)) - _NOT_DRAWN


@cache
def _letters(file: Path) -> frozenset[int]:
    """The letters of a font, as numbers of Unicode."""
    try:
        return frozenset(FT2Font(str(file)).get_charmap())
    except (OSError, RuntimeError):  # removed meanwhile, or of coloured pictures
        return frozenset()


@lru_cache(64)
def _opened(file: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)
