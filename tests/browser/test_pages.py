"""Every kind of page in a real browser: it renders, needs nothing, and everyone can read it."""

import importlib.resources
import io

import axe_core_python
import numpy as np
import PIL.Image
import pytest

from tatl_keras import _html

PAGES = ("report", "compare", "certificate", "gallery")
DESKTOP, PHONE = 1200, 320
LEAST_FONT = 12  # pixels

OPEN_ALL = "document.querySelectorAll('details').forEach(element => element.open = true)"
WIDTH = "document.documentElement.scrollWidth"
# The font sizes of all that is written, pixels.
FONTS = """
(() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), sizes = {};
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), parent = walker.currentNode.parentElement;
    if (text && parent.tagName != 'STYLE')
      sizes[text.slice(0, 40)] = parseFloat(getComputedStyle(parent).fontSize);
  }
  return sizes;
})()"""
# Pictures that cannot be shown, or are shown at no size.
BROKEN = """
Promise.all([...document.images].map(picture => picture.decode().then(
  () => picture.width > 20 && picture.height > 20 ? null : picture.alt, () => picture.alt)
)).then(found => found.filter(alt => alt !== null))"""
HEADINGS = "[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => Number(h.tagName[1]))"
# What axe finds against WCAG 2.1 A and AA and its own best practice, contrast among it.
AXE = """
axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.map(
  rule => rule.id + ': ' + rule.nodes.slice(0, 3).map(node => node.html.slice(0, 160)).join(' | ')))
"""


@pytest.fixture(scope="session")
def axe():
    files = importlib.resources.files(axe_core_python)
    return (files / "axe.min.js").read_text(encoding="utf-8")


def faults(page, axe, width):
    """All that is wrong with what a browser shows, as a dict from kind to what was found."""
    page.ask(OPEN_ALL)
    levels = page.ask(HEADINGS)
    jumps = [pair for pair in zip(levels, levels[1:], strict=False) if pair[1] > pair[0] + 1]
    page.ask(axe)
    fonts = page.ask(FONTS)
    assert fonts
    found = {
        "complaints": page.complaints,
        "requests": page.requests,
        "wider than the screen": [w for w in [page.ask(WIDTH)] if w > width],
        "small": {text: size for text, size in fonts.items() if size < LEAST_FONT},
        "broken pictures": page.ask(BROKEN),
        "headings": jumps or levels[:1] != [1] or levels.count(1) != 1,
        "accessibility": page.ask(AXE),
    }
    return {kind: value for kind, value in found.items() if value}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_everyone_can_read_it(name, width, pages, browser, axe):
    assert faults(browser.open(pages[name], width), axe, width) == {}


@pytest.mark.parametrize("name", PAGES)
def test_it_is_drawn(name, pages, browser):
    page = browser.open(pages[name], PHONE)
    pixels = np.asarray(PIL.Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    assert pixels.shape[0] > 1500 and pixels.shape[1] == PHONE
    bands = [band for band in np.array_split(pixels, pixels.shape[0] // 400) if band.std() > 1]
    assert len(bands) >= pixels.shape[0] // 400 - 1  # no long empty stretch


def test_what_is_wrong_is_found(browser, axe, tmp_path):
    good = _html.page("A page", _html.section("Part", _html.paragraph("Some words.")))
    spoiled = {
        "accessibility": '<p style="color: #bbb">too pale to read</p>',
        "wider than the screen": '<div style="width: 900px">wide</div>',
        "small": '<p style="font-size: 9px">too small to read</p>',
        "broken pictures": '<img alt="a picture" src="data:image/png;base64,AAAA">',
        "headings": "<h5>far below</h5>",
        "complaints": "<script>window.x = 1</script>",  # the page's policy refuses it, and says so
    }
    path = tmp_path / "page.html"
    path.write_text(good, encoding="utf-8")
    assert faults(browser.open(path, PHONE), axe, PHONE) == {}
    for kind, part in spoiled.items():
        path.write_text(good.replace("</section>", f"{part}</section>"), encoding="utf-8")
        assert kind in faults(browser.open(path, PHONE), axe, PHONE), kind


def test_what_is_asked_of_a_network_is_found(browser, axe, tmp_path):
    path = tmp_path / "page.html"
    text = _html.page("A page", '<img alt="x" src="http://pictures.example/x.png">')
    path.write_text(text, encoding="utf-8")
    refused = faults(browser.open(path, PHONE), axe, PHONE)
    assert any("Content Security Policy" in said for said in refused["complaints"])
    allowed = text.replace('http-equiv="Content-Security-Policy"', 'name="nothing"')
    path.write_text(allowed, encoding="utf-8")
    asked = faults(browser.open(path, PHONE), axe, PHONE)
    assert asked["requests"] == ["http://pictures.example/x.png"]
