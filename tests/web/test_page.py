"""The page in a real browser: every feature, on the real server with the real network."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.web.conftest import SCREENSHOTS, serving

from maskstack import Explanation, SearchSettings
from maskstack.models import open_photo

pytestmark = pytest.mark.slow

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
    page.get_by_text(word).wait_for()
    page.locator("#files a").first.wait_for()
    return page.locator("#status").inner_text()


def source(page, part: str) -> str:
    return page.locator(f"{part} img").first.get_attribute("src")


def save(page, words: str, folder: Path) -> Path:
    with page.expect_download() as waiting:
        page.get_by_role("link", name=words).click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


@pytest.mark.parametrize("width", [1280, 375])
def test_a_sample_is_explained_live_and_can_be_taken_away(visit, served, width, tmp_path):
    page = visit(width=width)
    outside = []
    page.on("request", lambda request: outside.append(request.url))
    look(page)
    assert page.get_by_role("radio", name="tiger cat").is_checked()
    assert page.locator("#top label").count() == 5
    take(page, f"looked-{width}")

    explain(page, "default")
    page.locator("#live img").first.wait_for()
    first = source(page, "#live"), page.locator("progress").get_attribute("value")
    page.wait_for_function("first => document.querySelector('#live img').src !== first", arg=first[0])
    assert int(page.locator("progress").get_attribute("value")) > int(first[1])
    assert re.search(r"step \d+ of 25, at most about \d+ s left", page.locator("#status").inner_text())
    take(page, f"live-{width}")

    status = wait_for_results(page)
    assert re.search(r"showing \d+% of the photo keeps tiger cat at \d+%", status)
    assert page.locator("#masks figure").count() == 6
    assert "score" in page.locator("#masked figcaption").inner_text()
    assert "Trust:" in page.locator("#words").inner_text()
    assert page.locator("#curves td").count() == 2
    page.wait_for_timeout(300)
    take(page, f"results-{width}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not [url for url in outside if not url.startswith((served.url, "data:", "blob:"))]
    assert page.evaluate("[...document.querySelectorAll('#results img')].every(img => img.alt && img.naturalWidth)")

    assert open_photo(save(page, "Overlay", tmp_path)).size == (224, 224)
    assert open_photo(save(page, "Figure", tmp_path)).width > 500
    found = Explanation.load(save(page, "Explanation", tmp_path))
    assert found.target == (282,)


def test_the_python_lines_make_the_same_map(visit, tmp_path, monkeypatch):
    page = visit()
    look(page, "coffee")
    explain(page)
    wait_for_results(page)
    shown = Explanation.load(save(page, "Explanation", tmp_path))
    lines = save(page, "Python code", tmp_path).read_text()
    assert lines.strip() == page.locator(".ms-code").inner_text().strip()
    data = pytest.importorskip("skimage.data")
    Image.fromarray(data.coffee()).save(tmp_path / "coffee.png")
    monkeypatch.chdir(tmp_path)
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
    wait_for_results(page, "Stopped:")
    words = page.locator("#words").inner_text()
    steps = int(re.search(r"Stopped after (\d+) steps", words)[1])
    assert 0 < steps < 200
    assert f"state.step < {steps})" in page.locator(".ms-code").inner_text()
    assert int(Explanation.load(save(page, "Explanation", tmp_path)).steps[0, 0]) == steps
    assert page.get_by_role("button", name="Explain", exact=True).is_enabled()


def test_another_class_by_button_and_by_name(visit):
    page = visit()
    look(page)
    page.get_by_role("radio", name="Egyptian cat").check()
    explain(page)
    assert "keeps Egyptian cat at" in wait_for_results(page)
    search = page.get_by_label("Or search for a class by name")
    search.click()
    search.press_sequentially("lynx")
    page.get_by_role("option", name="lynx", exact=True).click()
    assert page.locator("#top input:checked").count() == 0
    page.get_by_role("button", name="Explain", exact=True).click()
    page.get_by_text("keeps lynx at").wait_for()


def test_opacity_and_comparison(visit):
    page = visit()
    look(page)
    explain(page)
    wait_for_results(page)
    before = source(page, "#overlay")
    page.get_by_role("slider", name="Opacity").fill("0.2")
    page.wait_for_function("before => document.querySelector('#overlay img').src !== before", arg=before)
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Compared with Grad-CAM").wait_for()
    assert page.locator("#comparison img").count() == 2
    assert page.locator("#curves tbody tr").count() == 2
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
    page.locator("#photo").get_by_text("Paste from clipboard").or_(page.locator("#photo .icon")).first.click()
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
    assert "tiger cat" in wait_for_results(first)
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


def test_the_keyboard_is_enough(visit):
    page = visit()
    page.get_by_role("button", name="Sample: cat").focus()
    page.keyboard.press("Enter")
    page.get_by_text(LOOKED).wait_for()
    page.get_by_role("radio", name="tiger cat").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.get_by_role("radio", name="fast, ").focus()
    page.keyboard.press("Space")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText") == "Explain":
            break
    page.keyboard.press("Enter")
    assert "keeps Egyptian cat at" in wait_for_results(page)


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
    page.get_by_text(re.compile("^The network predicts ")).wait_for()
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
    photos = {each["id"] for each in config["components"] if each["type"] == "image"}
    events = [each for each in config["dependencies"] if each["backend_fn"] and photos & set(each["inputs"])]
    assert len(events) == 4  # a change and a prediction on the first tab, a change and a button on the second
    sample = next(served.folder.rglob("samples/cat.png"))
    for event in events:
        for path in (*victims, sample, sample.parent / ".." / "samples" / "cat.png", *victims):
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
    explain(page)
    wait_for_results(page)
    assert "preset='fast', sizes=((4, 4), (7, 5)), steps=4)" in page.locator(".ms-code").inner_text()
    made = Explanation.load(save(page, "Explanation", tmp_path))
    assert made.settings["steps"] == 4
    assert made.settings["sizes"] == [[4, 4], [7, 5]]
    page.locator("#setting-steps textarea, #setting-steps input").first.fill("0")
    page.get_by_role("button", name="Explain", exact=True).click()
    page.get_by_text("steps is 0; it must be a whole number from 1").wait_for()
    page.locator("#setting-steps textarea, #setting-steps input").first.fill("9000")
    page.get_by_role("button", name="Explain", exact=True).click()
    page.get_by_text("the page allows 2,000").wait_for()
