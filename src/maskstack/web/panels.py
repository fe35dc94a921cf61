"""Parts of the page as HTML: pictures with texts for screen readers, sentences, tables, downloads.

Pictures and files are embedded in the page and not stored on the server, so no one else can request them.
"""

from __future__ import annotations

import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from PIL import Image

from maskstack.draw.badges import sign_of
from maskstack.draw.pictures import data_uri, encoded

GLOSSARY: Mapping[str, str] = {
    "strongest part": "The part of the photo where the mask is at least half open; a line surrounds it.",
    "core": "The middle of the strongest part, where the mask is almost fully open; a thinner line surrounds it.",
    "reliable, doubtful, do not use": (
        "The verdict on the map. It follows from measurements: what the map keeps of the score, what remains when "
        "what it marks is hidden, and how well several searches agree."
    ),
    "score": "The probability that the network gives to the class.",
    "keeps": (
        "The share of the score that is left when only what the map marks is shown. It is the mean over two ways to "
        "show it: the map as a soft mask, and the most salient 45% of what the network sees, cut out with a hard edge."
    ),
    "remains": "The share of the score that is left when what the map marks is hidden; a good map leaves little.",
    "passes": (
        "How often the network is run: a forward pass computes the score, and a backward pass computes how the score "
        "changes with each pixel. More passes take longer and give a steadier map."
    ),
    "insertion": "The score while the most important pixels are added first; a good map makes it rise early.",
    "deletion": "The score while the most important pixels are removed first; a good map makes it fall early.",
}
"""The words of the page that need an explanation."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture of the page.

    Attributes:
        content: Content of the picture file.
        alt: What it shows, for screen readers.
        caption: The text below it.
        kind: Media type of the file.
    """

    content: bytes
    alt: str
    caption: str
    kind: str = "image/webp"


def png_of(image: Image.Image) -> bytes:
    """A picture as a PNG file."""
    return encoded(image, "PNG")


def webp_of(image: Image.Image, *, quality: int = 80) -> bytes:
    """A picture as a WebP file, which is several times smaller than a PNG file."""
    return encoded(image, "WEBP", quality=quality, method=2)


def png_of_figure(figure: Figure, *, dpi: int = 110) -> bytes:
    """A figure as a PNG file; the figure is cleared, as its parts refer to each other and would be kept for long."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    figure.clear()
    return file.getvalue()


def webp_of_figure(figure: Figure, *, dpi: int = 110) -> bytes:
    """A figure as a WebP file; the figure is cleared."""
    with Image.open(io.BytesIO(png_of_figure(figure, dpi=dpi))) as drawn:
        return webp_of(drawn.convert("RGB"), quality=85)


def pictures(shown: Sequence[Picture], *, small: bool = False, wide: bool = False) -> str:
    """Pictures side by side, below each other where the page is narrow."""
    figures = "".join(
        f'<figure><img src="{data_uri(one.content, one.kind)}" alt="{html.escape(one.alt, quote=True)}">'
        f"<figcaption>{html.escape(one.caption)}</figcaption></figure>"
        for one in shown
    )
    kind = " ms-small" if small else " ms-wide" if wide else ""
    scrolls = ' tabindex="0" role="group" aria-label="a wide picture, which scrolls"' if wide else ""
    return f'<div class="ms-pictures{kind}"{scrolls}>{figures}</div>'


def zoomed(picture: Picture) -> str:
    """A picture at its own size, one pixel for each, which scrolls within its frame."""
    return (
        f'<div class="ms-zoom" tabindex="0" role="group" aria-label="the photo at its own size, which scrolls">'
        f'<img src="{data_uri(picture.content, picture.kind)}" alt="{html.escape(picture.alt, quote=True)}"></div>'
        f'<p class="ms-caption">{html.escape(picture.caption)}</p>'
    )


def status_line(sentence: str, *, error: bool = False) -> str:
    """A sentence that screen readers read aloud when it changes."""
    role = "alert" if error else "status"
    kind = "ms-error" if error else "ms-status"
    return (
        f'<p class="{kind}" role="{role}" aria-live="{"assertive" if error else "polite"}">{html.escape(sentence)}</p>'
    )


def progress(done: int, steps: int, sentence: str) -> str:
    """A progress bar with its sentence."""
    return (
        f'<div class="ms-progress"><progress max="{steps}" value="{done}" aria-label="steps of the search">'
        f"</progress>{status_line(sentence)}</div>"
    )


def verdict(word: str, sentence: str, *, title: str) -> str:
    """A verdict: its sign and word in its colour, what was explained, and why in one sentence."""
    sign = sign_of(word)
    red, green, blue = sign.colour
    shape = {0: "ms-disc", 3: "ms-triangle"}.get(sign.corners, "ms-square")
    return (
        f'<div class="ms-verdict" style="--sign: rgb({red} {green} {blue})">'
        f'<p class="ms-word"><span class="ms-sign {shape}" aria-hidden="true">{html.escape(sign.letter)}</span>'
        f"<strong>{html.escape(word[:1].upper() + word[1:])}</strong> <span>{html.escape(title)}</span></p>"
        f"<p>{html.escape(sentence)}</p></div>"
    )


def legend() -> str:
    """What the colours and lines over the photo mean."""
    return (
        '<ul class="ms-legend" aria-label="Legend">'
        '<li><span class="ms-key ms-line"></span>strongest part of the map</li>'
        '<li><span class="ms-key ms-thin"></span>its core</li>'
        '<li><span class="ms-key ms-bar"></span>map, low to high</li>'
        '<li><span class="ms-key ms-hatch"></span>not seen by the network</li></ul>'
    )


def fold(words: str, content: str) -> str:
    """HTML that is shown when its words are pressed."""
    return f'<details class="ms-fold"><summary>{html.escape(words)}</summary>{content}</details>'


def glossary() -> str:
    """The words of the page and what they mean."""
    each = "".join(f"<dt>{html.escape(word)}</dt><dd>{html.escape(means)}</dd>" for word, means in GLOSSARY.items())
    return f'<dl class="ms-glossary">{each}</dl>'


def bars(where: str, shares: Sequence[float]) -> str:
    """A style that draws bars behind the choices of a control.

    Args:
        where: Selector of the control.
        shares: Length of each bar as a share of the whole.
    """
    rules = "".join(
        f"{where} label:nth-of-type({number}) {{ --share: {max(0.0, min(share, 1.0)):.2%}; }}"
        for number, share in enumerate(shares, start=1)
    )
    return f"<style>{rules}</style>"


def photo_in(where: str, uri: str = "") -> str:
    """A style that draws a picture in a control of photos, in place of a file that browsers cannot draw.

    Args:
        where: Selector of the control.
        uri: Address of the picture; empty to draw nothing.
    """
    place = f'url("{uri}") center / contain no-repeat'
    drawn = f"{where} div.upload-container {{ background: {place}; width: 100% !important; }}" if uri else ""
    return f"<style>{where} .image-frame img {{ opacity: 0; }} {drawn}</style>"


def thumbnails(where: str, uris: Sequence[str]) -> str:
    """A style that draws a picture beside each choice of a control."""
    rules = "".join(
        f'{where} label:nth-of-type({number}) {{ --thumbnail: url("{uri}"); }}'
        for number, uri in enumerate(uris, start=1)
    )
    return f"<style>{rules}</style>"


def score_lines(shown: Sequence[float], hidden: Sequence[float], *, steps: int) -> str:
    """The scores of the shown and of the hidden part, step by step, as a small drawing."""

    def line(values: Sequence[float], kind: str) -> str:
        points = " ".join(
            f"{200 * number / max(steps - 1, 1):.0f},{50 - 50 * max(0.0, min(value, 1.0)):.0f}"
            for number, value in enumerate(values)
            if value == value
        )
        return f'<polyline class="{kind}" points="{points}"/>'

    last = [next((value for value in reversed(values) if value == value), None) for values in (shown, hidden)]
    now = [f"{max(0.0, min(value, 1.0)):.0%}" if value is not None else "not measured yet" for value in last]
    words = f"score of the shown part {now[0]}, of the hidden part {now[1]}"
    return (
        f'<div class="ms-scores"><svg viewBox="-2 -2 204 54" role="img" aria-label="{words}">'
        f"{line(shown, 'ms-shown')}{line(hidden, 'ms-hidden')}</svg><p>Score of the shown part "
        f'<b class="ms-shown">{now[0]}</b> (solid line), of the hidden part <b class="ms-hidden">{now[1]}</b> '
        "(dashed line).</p></div>"
    )


def passes(forward: int, backward: int) -> str:
    """Numbers of passes in words.

    >>> passes(1200, 30)
    '1,200 forward and 30 backward passes'
    """
    return f"{forward:,} forward and {backward:,} backward passes"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str) -> str:
    """A small table."""
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in heads)
    body = "".join(
        "<tr>"
        + f'<th scope="row">{html.escape(row[0])}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="ms-table"><table><caption>{html.escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def paragraph(words: Sequence[str]) -> str:
    """Lines of text."""
    return '<div class="ms-words">' + "".join(f"<p>{html.escape(line)}</p>" for line in words) + "</div>"


def downloads(files: Sequence[tuple[str, str, bytes, str]]) -> str:
    """Links that save files.

    Args:
        files: For each file the text of the link, the file's name, its content and its media type.
    """
    links = "".join(
        f'<a class="ms-download" download="{html.escape(name, quote=True)}" href="{data_uri(content, kind)}">'
        f"{html.escape(words)}</a>"
        for words, name, content, kind in files
    )
    return f'<div class="ms-downloads" role="group" aria-label="Downloads">{links}</div>'


def code(lines: str) -> str:
    """Lines of Python code."""
    return f'<pre class="ms-code" tabindex="0" role="group" aria-label="Python code">{html.escape(lines)}</pre>'
