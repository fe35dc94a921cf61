"""Pieces of the page say what they are given, to who sees and who does not, and nothing given becomes HTML."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

from maskstack import MDM
from maskstack.web import panels
from maskstack.web.panels import Picture

NASTY = "<script>alert('x')</script> & \"quoted\" 'too' </p></pre> é"
"""What a file or class might be called."""

VOID = {"img", "meta", "br"}


class Parsed(HTMLParser):
    """Elements with their attributes, and the text, as a browser reads them; each element has to be closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.inside: list[str] = []
        self.feed(text)
        self.close()
        assert self.inside == [], "an element stays open"

    def handle_starttag(self, tag, attrs) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.inside.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.inside.pop() == tag

    def handle_data(self, data) -> None:
        self.texts.append((self.inside[-1], data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def texts_in(self, tag: str) -> list[str]:
        return [text for where, text in self.texts if where == tag]


def content(url: str, kind: str) -> bytes:
    head, _, rest = url.partition(",")
    assert head == f"data:{kind};base64"
    return base64.b64decode(rest, validate=True)


@pytest.fixture
def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8))


def test_a_picture_is_in_the_page_itself_with_its_words(photo) -> None:
    shown = [
        Picture(panels.png_of(photo), f"{number} {NASTY}", f"{NASTY} {number}", "image/png") for number in range(3)
    ]
    page = Parsed(panels.pictures(shown))
    assert [image["alt"] for image in page.all("img")] == [one.alt for one in shown]
    assert page.texts_in("figcaption") == [one.caption for one in shown]
    assert {name for name, _ in page.elements} == {"div", "figure", "img", "figcaption"}
    for image in page.all("img"):
        opened = Image.open(io.BytesIO(content(image["src"], "image/png")))
        assert np.array_equal(np.asarray(opened), np.asarray(photo))


@pytest.mark.parametrize(
    ("how", "marks"),
    [
        ({}, ["ms-pictures"]),
        ({"small": True}, ["ms-pictures", "ms-small"]),
        ({"wide": True}, ["ms-pictures", "ms-wide"]),
    ],
    ids=str,
)
def test_pictures_are_marked_by_their_size(how, marks) -> None:
    assert Parsed(panels.pictures([], **how)).all("div")[0]["class"].split() == marks


def test_a_figure_is_as_large_as_its_dots_say() -> None:
    drawn = Image.open(io.BytesIO(panels.png_of_figure(Figure(figsize=(2, 1)), dpi=50)))
    assert (drawn.format, drawn.size) == ("PNG", (100, 50))


@pytest.mark.parametrize(("error", "role", "live"), [(False, "status", "polite"), (True, "alert", "assertive")])
def test_a_sentence_is_spoken_as_urgently_as_it_is(error, role, live) -> None:
    page = Parsed(panels.status_line(NASTY, error=error))
    [(tag, attributes)] = page.elements
    assert (tag, attributes["role"], attributes["aria-live"]) == ("p", role, live)
    assert page.texts_in("p") == [NASTY]


def test_a_bar_stands_where_the_search_stands() -> None:
    page = Parsed(panels.progress(3, 80, NASTY))
    [bar] = page.all("progress")
    assert (bar["value"], bar["max"]) == ("3", "80")
    assert bar["aria-label"]
    assert page.texts_in("p") == [NASTY]


def test_a_table_tells_heads_from_cells() -> None:
    page = Parsed(panels.table(["method", NASTY], [["MDM", "0.81"], [NASTY, NASTY]], caption=NASTY))
    assert [head["scope"] for head in page.all("th")] == ["col", "col", "row", "row"]
    assert page.texts_in("th") == ["method", NASTY, "MDM", NASTY]
    assert page.texts_in("td") == ["0.81", NASTY]
    assert page.texts_in("caption") == [NASTY]
    assert len(page.all("tr")) == 3


def test_lines_of_text_and_of_a_program_stay_as_they_are() -> None:
    assert Parsed(panels.paragraph([NASTY, "two"])).texts_in("p") == [NASTY, "two"]
    program = f"a = 1 < 2\n\nb = {NASTY!r}\n"
    page = Parsed(panels.code(program))
    assert page.texts_in("pre") == [program]
    assert page.all("pre")[0]["tabindex"] == "0", "who has no mouse can scroll it"


def test_a_download_gives_the_very_bytes_under_its_name() -> None:
    files = [
        ("Overlay", NASTY, bytes(range(256)), "image/png"),
        (NASTY, "empty.txt", b"", "text/plain"),
    ]
    page = Parsed(panels.downloads(files))
    assert [link["download"] for link in page.all("a")] == [NASTY, "empty.txt"]
    assert page.texts_in("a") == ["Overlay", NASTY]
    for link, (_, _, given, kind) in zip(page.all("a"), files, strict=True):
        assert content(link["href"], kind) == given


@pytest.mark.parametrize("word", ["reliable", "doubtful", "do not use", NASTY])
def test_a_verdict_has_its_sign_word_and_reason(word) -> None:
    page = Parsed(panels.verdict(word, NASTY, title=NASTY))
    assert page.texts_in("strong") == [word[:1].upper() + word[1:]]
    assert page.texts_in("p")[-1] == NASTY
    assert [span for span in page.all("span") if span.get("aria-hidden") == "true"], "the sign is not read aloud"


def test_bars_are_as_long_as_the_shares_and_stay_within_the_choice() -> None:
    text = panels.bars("#top", [0.734, 1.2, -0.1])
    for number, share in enumerate(("73.40%", "100.00%", "0.00%"), start=1):
        assert f"#top label:nth-of-type({number}) {{ --share: {share}; }}" in text


def test_scores_are_drawn_where_they_are_known() -> None:
    page = Parsed(panels.score_lines([0.5, 1.0], [float("nan"), 0.25], steps=2))
    assert [line["points"] for line in page.all("polyline")] == ["0,25 200,0", "200,38"]
    assert page.all("svg")[0]["aria-label"] == "score of the shown part 100%, of the hidden part 25%"
    none = Parsed(panels.score_lines([], [], steps=0))
    assert "not measured yet" in none.all("svg")[0]["aria-label"]


def test_a_fold_shows_its_words() -> None:
    assert Parsed(panels.fold(NASTY, "<p>in it</p>")).texts_in("summary") == [NASTY]


def test_the_zoom_shows_every_pixel(photo) -> None:
    page = Parsed(panels.zoomed(Picture(panels.webp_of(photo), NASTY, NASTY)))
    assert page.all("div")[0]["tabindex"] == "0", "the keyboard can scroll it"
    opened = Image.open(io.BytesIO(content(page.all("img")[0]["src"], "image/webp")))
    assert opened.size == photo.size


def test_the_passes_that_the_page_names_are_those_of_a_search() -> None:
    pytest.importorskip("gradio", reason="the extra 'web' is not installed")
    from maskstack.web.explain_layout import OFFERED, most_passes

    network = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 3))
    for preset in OFFERED:
        assert most_passes(preset) == tuple(MDM(network, preset=preset).cost(1).values())
