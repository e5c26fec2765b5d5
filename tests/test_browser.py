"""The helper of browser tests, on a page of ten lines: what it runs, sees and hears of a page."""

from pathlib import Path

import browser
import pytest
from PIL import Image

PAGE = """<!doctype html><html lang=en><meta charset=utf-8><title>Small</title><link rel=icon href="data:,">
<style>body { background: rgb(200, 0, 0) } @media (prefers-color-scheme: dark) { body { background: rgb(0, 0, 90) } }</style>
<input id=n type=range min=0 max=9 value=3 aria-label=number><output>3</output>
<script>document.querySelector('#n').oninput = e => document.querySelector('output').value = e.target.value</script>"""


def picture(path: Path) -> Image.Image:
    with Image.open(path) as found:
        return found.convert("RGB")


def test_a_page_runs_is_seen_and_its_errors_are_heard(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(PAGE)
    with browser.files(tmp_path) as url, browser.page(url, width=300, height=200) as page:
        assert page.run("document.title") == "Small"
        assert page.run("new Promise(done => setTimeout(() => done([1, {a: 2}]), 10))") == [1, {"a": 2}]
        page.run("document.querySelector('#n').focus()")
        page.press("ArrowRight", 39)
        page.wait("document.querySelector('output').value === '4'")
        light = picture(page.screenshot(tmp_path / "light.png"))
        assert light.size == (300, 200)
        assert light.getpixel((150, 190)) == (200, 0, 0)
        page.dark()
        page.resize(150, 100, phone=True)
        dark = picture(page.screenshot(tmp_path / "dark.png", whole=False))
        assert dark.getpixel((dark.width - 10, dark.height - 10)) == (0, 0, 90)
        assert page.errors == []
        assert page.requests == [url]
        page.run("console.error('told', 7)")
        page.run("setTimeout(() => { throw new Error('thrown') })")
        page.run("fetch('none.bin').then(r => r.status)")
        page.wait("true")
        assert [any(word in each for each in page.errors) for word in ("told 7", "thrown", "404")] == [True] * 3
        with pytest.raises(browser.PageError, match="absent is not defined"):
            page.run("absent")
        with pytest.raises(browser.PageError, match=r"not true within 0.1 s: 1 > 2"):
            page.wait("1 > 2", seconds=0.1)


def test_without_a_chromium_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "PROGRAM", None)
    with pytest.raises(pytest.skip.Exception, match="no Chromium on the path"), browser.page("about:blank"):
        pass
