"""The page in a real browser: every feature, on the real server with the real network."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.web.conftest import FEW_STEPS, SCREENSHOTS, serving

from maskstack import Explanation, SearchSettings
from maskstack.jobs.verify import verify
from maskstack.masks.presets import PRESETS
from maskstack.models import open_photo
from maskstack.samples import sample_files

# The server's network takes 128 x 128 pixels, and what runs here must be the same one.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small_bundled")]

LOOKED = "Choose a class, then press Explain"


def take(page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def look(page, sample: str = "cat") -> None:
    page.get_by_role("button", name=f"Sample: {sample}").click()
    page.get_by_text(LOOKED).wait_for()


def explain(page, preset: str = "fast") -> None:
    page.get_by_role("radio", name=f"{preset}, ").check()
    page.get_by_role("button", name="Explain", exact=True).click()


def wait_for_results(page, word: str = "Done:") -> str:
    page.locator("#status").get_by_text(word).wait_for()
    page.locator("#overlay img").first.wait_for()
    return page.locator("#words").inner_text()


def numbers(page) -> str:
    """What the fold below the verdict says."""
    return page.locator("#words details").evaluate("fold => { fold.open = true; return fold.innerText; }")


def events(page) -> list[int]:
    """Bytes of each answer of the server's events from now on."""
    sizes = []

    def count(response) -> None:
        if "/queue/data" in response.url or "/run/" in response.url:
            with contextlib.suppress(Exception):
                sizes.append(len(response.body()))

    page.on("requestfinished", lambda request: count(request.response()))
    return sizes


def source(page, part: str) -> str:
    return page.locator(f"{part} img").first.get_attribute("src")


def save(page, kind: str, folder: Path) -> Path:
    """Ask for a file: ``overlay``, ``figure``, ``explanation`` or ``python``."""
    with page.expect_download() as waiting:
        page.locator(f"#want-{kind}").click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def view(page, name: str) -> None:
    """Choose a view of the map, and wait until it is shown."""
    before = source(page, "#overlay")
    page.get_by_role("radio", name=name, exact=True).check()
    page.wait_for_function("before => document.querySelector('#overlay img').src !== before", arg=before)


def in_sight(page, part: str) -> bool:
    """Whether a part of the page is visible as a whole without scrolling."""
    box = page.locator(part).first.bounding_box()
    size = page.viewport_size
    return bool(box) and box["y"] >= 0 and box["y"] + box["height"] <= size["height"]


@pytest.mark.parametrize("width", [1280, 375])
def test_a_sample_is_explained_live_and_can_be_taken_away(visit, served, width, tmp_path):
    page = visit(width=width)
    outside = []
    page.on("request", lambda request: outside.append(request.url))
    look(page)
    assert page.get_by_role("radio", name="Egyptian cat").is_checked()
    assert page.locator("#top label").count() == 5
    assert re.search(r"default, about \d+ s", page.locator("#preset").inner_text())
    take(page, f"looked-{width}")

    explain(page, "default" if width == 1280 else "fine")
    page.locator("#live img").first.wait_for()
    first = source(page, "#live"), page.locator("progress").get_attribute("value")
    assert first[0].startswith("data:image/webp")
    page.wait_for_function("first => document.querySelector('#live img').src !== first", arg=first[0])
    assert int(page.locator("progress").get_attribute("value")) > int(first[1])
    assert re.search(r"step \d+ of (12|40), at most about \d+ s left", page.locator("#status").inner_text())
    assert in_sight(page, "#live img"), "the live map is seen without scrolling, on a narrow page too"
    if width == 1280:
        assert all(in_sight(page, part) for part in ("#photo", "#top", "button:text-is('Explain')"))
    take(page, f"live-{width}")
    if width == 375:
        for part in page.locator(".ms-screen > .column").all():
            assert part.bounding_box()["width"] > 200, "the columns are below each other"
        page.get_by_role("button", name="Stop", exact=True).click()

    words = wait_for_results(page, "Stopped:" if width == 375 else "Done:")
    assert re.match(r"[✓?✕]?\s*(Reliable|Doubtful|Do not use)", words), "the verdict comes first"
    assert re.search(r"Showing \d+% of the network's input keeps Egyptian cat at \d+%", numbers(page))
    if width == 1280:
        page.locator("#words details").evaluate("fold => { fold.open = false; }")
        assert all(in_sight(page, part) for part in (".ms-verdict", "#overlay img"))
    page.wait_for_timeout(300)
    take(page, f"results-{width}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not [url for url in outside if not url.startswith((served.url, "data:", "blob:"))]
    assert page.evaluate("[...document.querySelectorAll('#result img')].every(img => img.alt && img.naturalWidth)")

    assert open_photo(save(page, "overlay", tmp_path)).size == (451, 300)
    assert page.locator("#files p").count() == 0
    assert open_photo(save(page, "figure", tmp_path)).width > 500
    file = save(page, "explanation", tmp_path)
    found = Explanation.load(file)
    assert found.target == (285,)
    cat = next(sample for sample in sample_files() if sample.stem == "cat")
    assert found.overlay(open_photo(cat)).size == (451, 300)
    assert all(each.agrees for each in verify(file, cat))


def test_a_visit_sends_little_and_the_verdict_comes_before_everything_else(visit):
    page = visit()
    sizes = events(page)
    look(page)
    explain(page, "default")
    wait_for_results(page)
    page.wait_for_timeout(1000)
    assert page.locator("#curves img").count() == page.locator("#masks img").count() == 0, "only on request"
    assert page.locator("#files a").count() == 0
    assert 0 < sum(sizes) < 1_000_000


def test_curves_and_masks_are_made_on_request(visit):
    page = visit()
    look(page)
    explain(page)
    wait_for_results(page)
    page.get_by_role("button", name="Measure its curves").click()
    page.locator("#curves img").wait_for()
    assert page.locator("#curves td").count() == 2
    page.get_by_role("button", name="Show the mask of each size").click()
    page.locator("#masks figure").first.wait_for()
    assert page.locator("#masks figure").count() == 5


def test_every_view_and_the_zoom(visit, photo):
    page = visit()
    upload(page, photo)
    page.get_by_text(LOOKED).wait_for()
    explain(page)
    wait_for_results(page)
    assert page.locator(".ms-legend li").count() == 4
    for name in ("Heat map", "Region alone", "Original photo", "Zoom 1:1"):
        view(page, name)
    size = page.evaluate("(({naturalWidth, width}) => [naturalWidth, width])(document.querySelector('#overlay img'))")
    with Image.open(photo) as opened:
        assert size == [opened.width] * 2, "a pixel for each of the photo's"
    view(page, "Heat map")  # this photo is shown at 1:1 anyway, so the region would look as the zoom does
    view(page, "Region")


def test_the_visits_explanations_and_a_file_open_again(visit, tmp_path):
    page = visit()
    look(page)
    explain(page)
    wait_for_results(page)
    first = source(page, "#overlay")
    file = save(page, "explanation", tmp_path)
    look(page, "coffee")
    explain(page)
    wait_for_results(page)
    page.get_by_role("button", name="Explanations of this visit").click()
    page.locator("#history label").nth(1).wait_for()
    assert page.locator("#history label").count() == 2
    assert "(EfficientNet-Lite0 (ImageNet); fast)" in page.locator("#history").inner_text()
    page.locator("#history label").first.click()
    page.wait_for_function("first => document.querySelector('#overlay img').src === first", arg=first)

    other = visit()
    other.get_by_role("button", name="Open a saved explanation").click()
    upload(other, file, "#saved")
    assert "Egyptian cat" in wait_for_results(other)
    assert other.locator("#overlay img").get_attribute("alt").endswith("Egyptian cat")
    other.get_by_role("button", name="Measure its curves").click()
    other.get_by_text("choose cat.jpg and the explained network, then open the file again").wait_for()
    take(other, "opened")
    other.get_by_role("button", name=re.compile("Clear|Remove")).last.click()
    look(other)
    upload(other, file, "#saved")
    wait_for_results(other)
    other.get_by_role("radio", name="Zoom 1:1").check()
    other.locator(".ms-zoom img").wait_for()
    other.get_by_role("button", name="Measure its curves").click()
    other.locator("#curves img").wait_for()
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(file.read_bytes()[:1000])
    other.get_by_role("button", name=re.compile("Clear|Remove")).last.click()
    upload(other, broken, "#saved")
    other.locator("#status [role=alert]").get_by_text("broken.safetensors").wait_for()


def test_dark_and_light(visit):
    page = visit()
    dark = "document.body.classList.contains('dark')"
    before = page.evaluate(dark)
    page.get_by_role("button", name="Dark or light").click()
    assert page.evaluate(dark) != before
    look(page)
    take(page, "dark")


def test_axe_finds_no_violation(visit):
    """The rules of axe-core, on the page before and after a search, light and dark."""
    package = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    script = (Path(package.__file__).parent / "axe.min.js").read_text()
    page = visit()
    look(page)
    explain(page)
    wait_for_results(page)
    page.evaluate(script)
    for _ in range(2):
        # Half-way between light and dark nothing can be read.
        page.wait_for_timeout(300)
        page.wait_for_function("document.getAnimations().every(each => !(each instanceof CSSTransition))")
        found = page.evaluate("axe.run()")["violations"]
        assert [(each["id"], [node["html"][:150] for node in each["nodes"]]) for each in found] == []
        page.get_by_role("button", name="Dark or light").click()


def test_the_python_lines_make_the_same_map(visit, tmp_path, monkeypatch):
    page = visit()
    look(page, "coffee")
    explain(page)
    wait_for_results(page)
    shown = Explanation.load(save(page, "explanation", tmp_path))
    lines = save(page, "python", tmp_path).read_text()
    assert lines.strip() == page.locator(".ms-code").inner_text().strip()
    shutil.copy(next(file for file in sample_files() if file.stem == "coffee"), tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(PRESETS, "fast", PRESETS["fast"].with_(steps=FEW_STEPS))
    names: dict[str, object] = {}
    exec(compile(lines, "recipe", "exec"), names)
    assert torch.allclose(names["explanation"].saliency, shown.saliency, atol=1e-5)
    assert (tmp_path / "figure.png").is_file()


def test_stop_keeps_what_was_found(visit, tmp_path, monkeypatch):
    page = visit()
    look(page)
    explain(page, "fine")
    page.locator("#live img").first.wait_for()
    page.get_by_role("button", name="Stop").click()
    words = wait_for_results(page, "Stopped:")
    steps = int(re.search(r"Stopped after (\d+) steps", words)[1])
    assert 0 < steps < 200
    assert f"state.step < {steps})" in save(page, "python", tmp_path).read_text()
    assert int(Explanation.load(save(page, "explanation", tmp_path)).steps[0, 0]) == steps
    assert page.get_by_role("button", name="Explain", exact=True).is_enabled()


def test_the_list_of_the_visit_says_which_search_was_stopped(visit):
    page = visit()
    look(page)
    explain(page, "fine")
    page.locator("#live img").first.wait_for()
    page.get_by_role("button", name="Stop").click()
    steps = re.search(r"Stopped after (\d+) steps", wait_for_results(page, "Stopped:"))[1]
    page.get_by_role("button", name="Explanations of this visit").click()
    page.locator("#history").get_by_text(
        f"(EfficientNet-Lite0 (ImageNet); fine, stopped after {steps} steps)"
    ).wait_for()


def test_a_list_of_classes_that_is_open_does_not_break_the_page_when_the_photo_is_removed(visit):
    page = visit()
    look(page)
    page.get_by_label("Or search for a class by name").click()
    page.get_by_role("option").first.wait_for()
    page.get_by_role("button", name="Remove Image").evaluate("button => button.click()")  # the list stays open
    page.locator("#status").get_by_text("Choose a photo").wait_for()
    page.wait_for_timeout(300)
    assert page.get_by_role("button", name="Explain", exact=True).is_disabled()
    look(page)
    assert page.locator("#top label").count() == 5


def test_explain_waits_for_the_prediction_of_another_photo(visit):
    page = visit()
    look(page)
    page.evaluate(
        """() => {
            window.wasOff = false;
            const explain = [...document.querySelectorAll("button")].find(each => each.innerText == "Explain");
            new MutationObserver(() => { window.wasOff ||= explain.disabled; }).observe(explain, { attributes: true });
        }"""
    )
    page.get_by_role("button", name="Sample: coffee").click()
    page.wait_for_function("window.wasOff")
    page.locator("#status").get_by_text("espresso").wait_for()
    explain(page)
    assert "espresso" in wait_for_results(page)


def test_another_class_by_button_and_by_name(visit):
    page = visit()
    look(page)
    page.get_by_role("radio", name="tiger cat").check()
    explain(page)
    assert "tiger cat" in wait_for_results(page)
    search = page.get_by_label("Or search for a class by name")
    search.click()
    search.press_sequentially("lynx")
    page.get_by_role("option", name="lynx", exact=True).click()
    assert page.locator("#top input:checked").count() == 0
    page.get_by_role("button", name="Explain", exact=True).click()
    page.locator("#words").get_by_text("lynx").first.wait_for()


def test_enter_takes_the_class_whose_whole_name_was_typed(visit):
    page = visit()
    look(page)
    search = page.get_by_label("Or search for a class by name")
    search.click()
    search.press_sequentially("espresso")  # espresso maker is a class too, of a lower index
    page.get_by_role("option", name="espresso maker", exact=True).wait_for()
    search.press("Enter")
    page.wait_for_timeout(300)
    assert search.input_value() == "espresso"


def test_the_map_of_a_tiny_photo_is_large_enough_to_be_seen(visit, tmp_path):
    Image.new("RGB", (20, 20), "red").save(tmp_path / "tiny.png")
    page = visit()
    page.locator("#photo input[type=file]").set_input_files(tmp_path / "tiny.png")
    page.get_by_text(LOOKED).wait_for()
    explain(page)
    wait_for_results(page)
    assert page.locator("#overlay img").bounding_box()["height"] >= 100


def test_opacity_and_comparison(visit):
    page = visit()
    look(page)
    explain(page, "default")  # a map that is not to be used has no colours
    wait_for_results(page)
    before = source(page, "#overlay")
    page.get_by_role("slider", name="Opacity").fill("0.2")
    page.wait_for_function("before => document.querySelector('#overlay img').src !== before", arg=before)
    page.get_by_label("Compare with up to 3 other methods").click()
    page.get_by_role("option", name=re.compile(r"^Grad-CAM\+\+")).click()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text(re.compile(r"Compared with Grad-CAM, Grad-CAM\+\+")).wait_for()
    assert page.locator("#comparison img").count() == 3
    assert "call" not in page.locator("#comparison").inner_text(), "no names of layers"
    page.get_by_role("button", name="Measure its curves").click()
    page.locator("#curves tbody tr").nth(2).wait_for()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text("Press Measure its curves again to include them.").wait_for()
    page.wait_for_timeout(300)
    take(page, "comparison")


def upload(page, path: Path, part: str = "#photo") -> None:
    page.locator(f"{part} input[type=file]").set_input_files(path)


def test_a_photo_of_ones_own_and_what_is_none(visit, served, photo, tmp_path):
    page = visit()
    upload(page, photo)
    page.get_by_text(LOOKED).wait_for()
    assert page.get_by_role("radio", name="espresso").is_checked()

    page.get_by_role("button", name="Remove Image").click()
    words = tmp_path / "words.png"
    words.write_text("no picture\n")
    upload(page, words)
    page.get_by_text("words.png is not an image that Pillow can read; save it as JPEG or PNG.").wait_for()
    assert page.get_by_role("button", name="Explain", exact=True).is_disabled()
    assert page.locator("#photo img").count() == 0
    take(page, "no-picture")

    huge = tmp_path / "huge.png"
    Image.new("1", (20000, 20000)).save(huge)
    upload(page, huge)
    page.get_by_text("huge.png is larger than Pillow allows; resize it first.").wait_for()
    assert served.process.poll() is None

    heavy = tmp_path / "heavy.png"
    heavy.write_bytes(b"0" * 4_000_000)
    upload(page, heavy)
    page.get_by_text(re.compile("exceeds|too large|maximum", re.IGNORECASE)).first.wait_for()


def test_a_pasted_photo(visit):
    page = visit()
    page.evaluate(
        """async () => {
            const canvas = new OffscreenCanvas(300, 300);
            const context = canvas.getContext("2d");
            for (let x = 0; x < 300; x += 20) {
                context.fillStyle = `hsl(${x}, 80%, 50%)`;
                context.fillRect(x, 0, 20, 300);
            }
            const blob = await canvas.convertToBlob({ type: "image/png" });
            await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
        }"""
    )
    page.get_by_role("button", name="Paste from clipboard").click()
    page.get_by_text(LOOKED).wait_for()


def test_two_visitors_do_not_see_each_other(visit, served, photo, tmp_path):
    first, second = visit(), visit()
    mine = tmp_path / "secret-cat.png"
    data = pytest.importorskip("skimage.data")
    Image.fromarray(data.chelsea()).save(mine)
    upload(first, mine)
    upload(second, photo)
    first.get_by_text(LOOKED).wait_for()
    second.get_by_text(LOOKED).wait_for()
    explain(first)
    explain(second)
    assert "Egyptian cat" in wait_for_results(first)
    assert "espresso" in wait_for_results(second)
    assert "secret" not in second.content()
    assert "breakfast" not in first.content()
    # Stopping is one's own too.
    explain(first, "fine")
    first.locator("#live img").first.wait_for()
    second.get_by_role("button", name="Explain", exact=True).wait_for()
    first.get_by_role("button", name="Stop").click()
    assert "Stopped" in wait_for_results(first, "Stopped:")
    assert "Stopped" not in second.locator("#status").inner_text()

    assert served.uploads("secret-cat.png")
    assert served.uploads("breakfast.jpg")
    first.close()
    for _ in range(100):
        if not served.uploads("secret-cat.png"):
            break
        second.wait_for_timeout(200)
    assert not served.uploads("secret-cat.png")
    assert served.uploads("breakfast.jpg")


def test_who_waits_for_another_search_can_stop(visit):
    first, second = visit(), visit()
    look(first)
    look(second, "coffee")
    explain(first, "fine")
    first.locator("#live img").first.wait_for()
    explain(second)
    second.wait_for_timeout(500)
    second.get_by_role("button", name="Stop").click()
    first.get_by_role("button", name="Stop").click()
    second.get_by_text("stopped before the search began").wait_for()
    explain(second)
    wait_for_results(second)


def test_the_keyboard_is_enough(visit):
    page = visit()
    page.get_by_role("button", name="Sample: cat").focus()
    page.keyboard.press("Enter")
    page.get_by_text(LOOKED).wait_for()
    page.get_by_role("radio", name="Egyptian cat").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.get_by_label("Or search for a class by name").focus()
    page.keyboard.press("Tab")
    page.wait_for_timeout(300)
    assert page.get_by_role("radio", name="tiger cat").is_checked(), "passing through the search changes nothing"
    page.get_by_role("radio", name="fast, ").focus()
    page.keyboard.press("Space")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText") == "Explain":
            break
    page.keyboard.press("Enter")
    assert "tiger cat" in wait_for_results(page)


def test_both_tabs_fit_on_a_small_phone(visit):
    page = visit(width=320)
    for tab in ("This looks like that", "Explain a photo"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_every_control_has_a_name(visit):
    page = visit()
    look(page)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea, a")].filter(e => {
            if (!e.checkVisibility() || e.type === "file") return false;
            const labels = e.labels ? [...e.labels].map(l => l.innerText).join("") : "";
            return !(labels || e.innerText || e.ariaLabel || e.title || e.getAttribute("aria-labelledby"));
        }).map(e => e.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    assert page.locator("#status [role=status]").count() == 1


def test_this_looks_like_that(visit, tmp_path):
    page = visit()
    page.get_by_role("tab", name="This looks like that").click()
    data = pytest.importorskip("skimage.data")
    path = tmp_path / "cat.png"
    Image.fromarray(data.chelsea()[60:240, 120:320]).save(path)
    upload(page, path, "#prototypes-photo")
    page.locator("#prototypes-photo img").wait_for()
    page.get_by_role("button", name="Explain by prototypes").click()
    page.get_by_text(re.compile("^The network gives .* a probability of ")).wait_for()
    assert page.locator("#prototypes-page img").get_attribute("alt")
    assert "adds" in page.locator("#prototypes-page figcaption").inner_text()
    page.wait_for_timeout(300)
    take(page, "prototypes")


def test_nobody_can_name_a_file_of_the_server(visit, served, tmp_path):
    """Payloads as a program would send them, without the mark that makes Gradio check their paths."""
    page = visit()
    victims = [tmp_path / "one.png", tmp_path / "two.png"]
    for victim in victims:
        Image.new("RGB", (64, 64), "red").save(victim)
    config = page.request.get(f"{served.url}/config").json()
    photos = {each["id"] for each in config["components"] if each["type"] in ("image", "file")}
    found = [each for each in config["dependencies"] if each["backend_fn"] and photos & set(each["inputs"])]
    # A change, a prediction and a saved file on the first tab, a change and a button on the second.
    assert len(found) == 5
    sample = next(served.folder.rglob("samples/cat.jpg"))
    for event in found:
        for path in (*victims, sample, sample.parent / ".." / "samples" / "cat.jpg", *victims):
            data = [{"path": str(path)} if each in photos else "" for each in event["inputs"]]
            body = {"data": data, "fn_index": event["id"], "session_hash": "attacker"}
            where = "queue/join" if event["queue"] else "run/predict"
            page.request.post(f"{served.url}/gradio_api/{where}", data=body)
    look(page)  # and the queue has gone through what was asked before
    assert all(path.is_file() for path in (*victims, sample))


def test_it_ends_in_the_midst_of_a_search(browser, tmp_path):
    with serving(tmp_path) as server:
        page = browser.new_page()
        page.goto(server.url)
        page.get_by_role("button", name="Sample: cat").wait_for()
        page.wait_for_timeout(300)
        look(page)
        explain(page, "fine")
        page.locator("#live img").first.wait_for()
        server.process.terminate()
        assert server.process.wait(timeout=30) == 0
        page.close()
    assert not list(tmp_path.glob("maskstack-app-*"))
    assert "Traceback" not in (tmp_path / "log.txt").read_text()


def test_it_ends_in_the_midst_of_a_search_for_prototypes(browser, prototypes, photo, tmp_path):
    with serving(tmp_path, "--prototypes", str(prototypes)) as server:
        page = browser.new_page()
        page.goto(server.url)
        page.get_by_role("tab", name="This looks like that").click()
        upload(page, photo, "#prototypes-photo")
        page.locator("#prototypes-photo img").wait_for()
        page.get_by_role("button", name="Explain by prototypes").click()
        page.get_by_text(re.compile(r"step \d+ of 24, at most about \d+ s left")).wait_for()
        server.process.terminate()
        assert server.process.wait(timeout=30) == 0
        page.close()
    assert "Traceback" not in (tmp_path / "log.txt").read_text()


def test_settings_change_the_search_and_the_code(visit, tmp_path):
    page = visit()
    look(page)
    page.get_by_role("button", name="Search settings").click()
    settings = page.locator("[id^=setting-]")
    settings.last.wait_for()
    assert settings.count() == len(dataclasses.fields(SearchSettings))
    page.locator("#setting-steps textarea, #setting-steps input").first.fill("4")
    page.locator("#setting-sizes textarea, #setting-sizes input").first.fill("4,7x5")
    take(page, "settings")
    page.get_by_role("radio", name="fast, ").check()
    page.get_by_role("button", name="Explain", exact=True).dblclick()
    wait_for_results(page)
    assert "preset='fast', sizes=((4, 4), (7, 5)), steps=4)" in save(page, "python", tmp_path).read_text()
    made = Explanation.load(save(page, "explanation", tmp_path))
    assert made.settings["steps"] == 4
    assert made.settings["sizes"] == [[4, 4], [7, 5]]
    page.locator("#setting-steps textarea, #setting-steps input").first.fill("0")
    page.get_by_role("button", name="Explain", exact=True).click()
    page.get_by_text("steps is 0; it must be a whole number from 1").wait_for()
    page.locator("#setting-steps textarea, #setting-steps input").first.fill("9000")
    page.get_by_role("button", name="Explain", exact=True).click()
    page.get_by_text("the page allows 2,000").wait_for()
    view(page, "Original photo")  # the earlier result still works
    assert Explanation.load(save(page, "explanation", tmp_path)).settings["steps"] == 4
    page.get_by_role("button", name="Explanations of this visit").click()
    page.locator("#history label").first.wait_for()
    assert page.locator("#history label").count() == 1, "two quick presses are one search"


def test_a_medical_file_is_taken_shown_and_said(visit, tmp_path):
    nibabel = pytest.importorskip("nibabel", reason="the extra 'nifti' is not installed")
    values = np.arange(40 * 30 * 3, dtype=np.int16).reshape(40, 30, 3)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "scan.nii.gz")
    page = visit()
    look(page)
    with page.expect_file_chooser() as chooser:
        page.locator("#medical").click()
    chooser.value.set_files(tmp_path / "scan.nii.gz")
    page.locator("#live").get_by_text("slice 1 of slices 0 to 2 is used; maskstack explain --page shows").wait_for()
    assert page.locator("#live img").evaluate("shown => shown.naturalWidth") == 40, "the slice, as it was read"
    assert page.locator("#photo img").evaluate("shown => getComputedStyle(shown).opacity") == "0", "no broken picture"
    control = page.locator("#photo div.upload-container")
    assert control.evaluate("box => getComputedStyle(box).backgroundImage").startswith('url("data:image/webp')
    assert control.bounding_box()["width"] > 200
    explain(page)
    assert "values of 12 bits, 0 to 4095, are shown from black to white" in wait_for_results(page, "Done: scan.nii.gz")
    assert all(each.agrees for each in verify(save(page, "explanation", tmp_path), tmp_path / "scan.nii.gz"))
