import base64
import io
import re

import numpy as np
import torch
from PIL import Image
from torch import nn

from maskstack import MDM
from maskstack.draw.html import MOST_BYTES, MapPanel, as_html


def pictures(html):
    return [Image.open(io.BytesIO(base64.b64decode(found))) for found in re.findall(r"base64,([^\"]+)", html)]


def test_a_map_is_drawn_in_its_colours():
    saliency = np.zeros((40, 80), dtype=np.float32)
    saliency[:, 40:] = 1
    (picture,) = pictures(as_html([MapPanel(saliency, "cat", ["score 1"])], heading="mdm"))
    assert picture.size == (80, 40)
    low, high = picture.convert("RGB").getpixel((5, 5)), picture.convert("RGB").getpixel((75, 5))
    assert sum(low) < 20
    assert high[0] > 200
    assert high[1] > 200


def test_words_cannot_become_html():
    html = as_html([MapPanel(np.zeros((8, 8), np.float32), '<b>"x"', ["<script>"])], heading="<i>")
    assert "<script>" not in html
    assert "<b>" not in html
    assert "<i>" not in html
    assert "&lt;script&gt;" in html


def test_it_stays_small_however_many_and_large_the_images_are():
    noise = np.random.default_rng(0).random((512, 640), dtype=np.float32)
    shown = [MapPanel(noise, "long name " * 200, ["words " * 500] * 50) for _ in range(64)]
    html = as_html(shown, heading="h" * 10_000, more=36)
    assert len(html) < MOST_BYTES
    assert len(pictures(html)) == 8
    assert "and 92 more images" in html


def test_an_explanation_shows_itself():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = MDM(net, sizes=(2, 4), steps=3, class_names=["a", "b", "<c>", "d"])(torch.rand(2, 3, 16, 24), [0, 2])
    html = found._repr_html_()
    assert len(pictures(html)) == 2
    assert "&lt;c&gt;" in html
    assert html.count(found.trust.verdict(0).sentence) >= 1
    assert f"<strong>{found.trust.verdict(0).word}</strong>" in html
    assert f"area {float(found.area[0]):.0%}" in html
    plain = MDM(net, sizes=(2, 4), steps=3)(torch.rand(1, 3, 16, 24), lambda output: output[:, 0])
    assert "&lt;lambda&gt;" in plain._repr_html_()
