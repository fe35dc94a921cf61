"""Pictures of kept maps on the page, and how wide the page is in a real browser."""

import html
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from maskstack.leaderboard.columns import COLUMNS, QUALITY
from maskstack.leaderboard.comparison import compare
from maskstack.leaderboard.page import render
from maskstack.leaderboard.pictures import gallery
from maskstack.leaderboard.report import make_report
from maskstack.leaderboard.results import read_results
from maskstack.leaderboard.sections import section
from maskstack.leaderboard.work import map_file
from maskstack.runs.rows import ResultRow
from maskstack.runs.statistics import Bootstrap
from maskstack.runs.store import Store

pytestmark = pytest.mark.slow


def keep_maps(run, methods, images):
    for method in methods:
        for image in images:
            file = map_file(run, "net", method, image)
            file.parent.mkdir(parents=True, exist_ok=True)
            saliency = np.linspace(0, 1, 32 * 48, dtype=np.float16).reshape(32, 48)
            file.write_bytes(safetensors.numpy.save({"saliency": saliency}))


@pytest.fixture
def with_maps(run):
    keep_maps(run, ("mdm", "gradcam"), read_results([run])[0].images)
    return run


def grey(_run, _model):
    return lambda _image: Image.new("RGB", (48, 32), "grey")


def test_best_average_and_worst_are_shown(with_maps):
    comparison = compare(read_results([with_maps])[0])
    shown = gallery(comparison, photos=grey)
    assert [line.why for line in shown.lines] == ["best"] * 2 + ["average"] * 2 + ["worst"] * 2
    assert shown.methods == ("mdm", "gradcam")
    own = comparison.network.quality[comparison.network.methods.index("mdm")]
    qualities = [line.quality for line in shown.lines]
    assert (qualities[0], qualities[-1]) == (own.max(), own.min())
    assert np.mean(qualities[2:4]) == pytest.approx(own.mean(), abs=0.02)


def test_without_faithfulness_the_page_says_why_there_are_no_pictures(with_maps):
    comparison = compare(read_results([with_maps])[0])
    unmeasured = replace(comparison, network=replace(comparison.network, values={}))
    assert "insertion minus deletion, which was not measured" in gallery(unmeasured, photos=grey).note


def test_names_of_images_are_text_and_nothing_else(with_maps):
    comparison = compare(read_results([with_maps])[0])
    text = render([section(comparison, gallery(comparison, photos=grey), Bootstrap(draws=50))])
    assert "<script" not in text
    assert "&lt;script&gt;alert(" in text
    pictures = re.findall(r'<img src="([^"]*)" alt="([^"]+)"', text)
    assert len(pictures) == 6 * 3
    assert all(address.startswith("data:image/webp;base64,") for address, _ in pictures)


def test_data_out_of_reach_is_a_sentence_on_the_page(with_maps):
    text = make_report([with_maps]).page.read_text(encoding="utf-8")
    assert "the pictures cannot be drawn" in text


def test_maps_of_another_size_are_a_sentence(with_maps):
    comparison = compare(read_results([with_maps])[0])
    shown = gallery(comparison, photos=lambda _run, _model: lambda _image: Image.new("RGB", (20, 20)))
    assert not shown.lines
    assert "must have the same size" in shown.note


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium")
@pytest.mark.parametrize("width", [375, 1280])
def test_the_page_is_no_wider_than_its_window(run, tmp_path, width):
    wide = [name for name, column in COLUMNS.items() if column.kind == QUALITY]
    Store.open(run).write(
        [
            ResultRow("net", method, f"{image}.jpg", "other", name, image + above)
            for name in wide
            for method, above in (("mdm", 0.0), ("gradcam", 5.0))
            for image in range(20)
        ]
    )
    text = re.sub("<meta http-equiv[^>]*>", "", make_report([run]).page.read_text(encoding="utf-8"))
    frame = tmp_path / "frame.html"
    say = "let page = f.contentDocument.documentElement; document.title = page.scrollWidth - page.clientWidth"
    frame.write_text(
        f'<iframe id=f style="width:{width}px;height:900px" srcdoc="{html.escape(text)}"></iframe>'
        f"<script>onload = () => {{ {say} }}</script>"
    )
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom"]
    seen = subprocess.run(
        ["chromium", *flags, "--virtual-time-budget=3000", "--window-size=1400,1000", frame.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert re.search("<title>([^<]*)", seen.stdout)[1] == "0"
