"""Parts of the page as HTML: pictures with texts for screen readers, sentences, tables, downloads.

Pictures and files are embedded in the page and not stored on the server, so no one else can request them.
"""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from PIL import Image

from maskstack.draw.pictures import data_uri, encoded


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture of the page.

    Attributes:
        png: Content of the PNG file.
        alt: What it shows, for screen readers.
        caption: The text below it.
    """

    png: bytes
    alt: str
    caption: str


def png_of(image: Image.Image) -> bytes:
    """A picture as a PNG file."""
    return encoded(image, "PNG")


def png_of_figure(figure: Figure, *, dpi: int = 110) -> bytes:
    """A figure as a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    return file.getvalue()


def pictures(shown: Sequence[Picture], *, small: bool = False, wide: bool = False) -> str:
    """Pictures side by side, below each other where the page is narrow."""
    figures = "".join(
        f'<figure><img src="{data_uri(one.png, "image/png")}" alt="{html.escape(one.alt, quote=True)}">'
        f"<figcaption>{html.escape(one.caption)}</figcaption></figure>"
        for one in shown
    )
    kind = " ms-small" if small else " ms-wide" if wide else ""
    return f'<div class="ms-pictures{kind}">{figures}</div>'


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
    return f'<pre class="ms-code" tabindex="0" aria-label="Python code">{html.escape(lines)}</pre>'
