"""The page in a real browser: nothing runs, nothing is asked of the network, all can be read."""

import pytest

from preftune.checks import check
from preftune.records import Severity
from preftune.report import write_examination
from tests.report.chromium import Browser, found
from tests.report.examinations import FIGURES, examined, many
from tests.report.examinations import found as finding
from tests.report.payloads import MARK, OUTSIDE
from tests.report.test_examination_page import hostile

pytestmark = pytest.mark.slow


CONTRAST = """
(() => {
  const channel = value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255)
    + 0.0722 * channel(b / 255);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
      if (colour[3] !== 0) throw new Error('half transparent: ' + at.className);
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const low = new Set();
  let read = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest('title')) continue;
    if (!element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const ink = element.closest('svg') ? style.fill : style.color;
    const [one, other] = [light(parts(ink)), light(behind(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    read += 1;
    if (ratio < 4.5) low.add(`${ratio.toFixed(2)} ${element.className} ${walker.currentNode.data}`);
  }
  return {read, low: [...low]};
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    binary = found()
    if binary is None:
        pytest.skip("no Chromium is installed here")
    browser = Browser(binary, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory, shared):
    """Pages of very different data, written once, by name."""
    data = shared / "data" / "hh-harmless" / "train.jsonl.gz"
    known = {
        "full": examined(*many(9), figures=FIGURES),
        "empty": examined(),
        "long": examined(*many(60)),
        "hostile": hostile(),
        "real": check(str(data), limit=60, depth="quick"),
    }
    folder = tmp_path_factory.mktemp("pages")
    for name, examination in known.items():
        write_examination(examination, folder / f"{name}.html")
    return {name: (folder / f"{name}.html").as_uri() for name in known}


def troubles(browser):
    """What a page did that a page of text does not do."""
    asked = [event["request"]["url"] for event in browser.seen("Network.requestWillBeSent")]
    outside = [url for url in asked if not url.startswith(("file:", "data:,"))]
    dialogs = browser.seen("Page.javascriptDialogOpening")
    issues = [event["issue"] for event in browser.seen("Audits.issueAdded")]
    refused = [one for one in issues if one["code"] == "ContentSecurityPolicyIssue"]
    logged = [*browser.seen("Log.entryAdded"), *browser.seen("Runtime.exceptionThrown")]
    owned = [browser.run("document.title")] * (browser.run("document.title") == "owned")
    return [*outside, *dialogs, *refused, *logged, *owned]


def test_a_hundred_hostile_texts_run_nothing_and_ask_for_nothing(browser, pages):
    browser.open(pages["hostile"])
    assert browser.run("document.querySelectorAll('.finding').length") == 100
    assert troubles(browser) == []
    # Every fold opened, every link followed, every element looked at: still nothing.
    browser.run("document.querySelectorAll('details').forEach(one => { one.open = true })")
    browser.run(
        "document.querySelectorAll('main *').forEach(one => {"
        " one.focus?.(); one.dispatchEvent(new MouseEvent('mouseover', {bubbles: true}));"
        " if (one.matches('a')) one.click() })"
    )
    assert troubles(browser) == []


@pytest.mark.parametrize("text", [f"<script>{MARK}</script>", f"<img src={OUTSIDE}/x.png>"])
def test_the_same_text_unescaped_is_noticed(browser, tmp_path, text):
    """The test above can fail: with the policy and without, escaping left out is seen."""
    write_examination(examined(finding(text="PUT IT HERE")), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text().replace("PUT IT HERE", text)
    (tmp_path / "page.html").write_text(page)
    browser.open((tmp_path / "page.html").as_uri())
    assert troubles(browser) != []
    (tmp_path / "page.html").write_text(page.replace("default-src 'none'", "default-src *"))
    browser.open((tmp_path / "page.html").as_uri())
    assert troubles(browser) != []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_has_the_contrast_that_wcag_asks_for(browser, pages, dark):
    browser.look(1280, dark=dark)
    for name in ("full", "empty", "hostile", "real"):
        browser.open(pages[name])
        browser.run("document.querySelectorAll('details').forEach(one => { one.open = true })")
        seen = browser.run(CONTRAST)
        assert seen["read"] > 20
        assert seen["low"] == []


@pytest.mark.parametrize("width", [375, 768, 1280])
def test_the_page_fits_the_window(browser, pages, width):
    browser.look(width)
    for name in ("full", "long", "hostile", "real"):
        browser.open(pages[name])
        assert browser.run("innerWidth") == width
        assert browser.run("document.documentElement.scrollWidth") <= width


def test_what_to_do_first_is_on_the_first_screen(browser, tmp_path):
    browser.look(1280, height=800)
    long = "the longer response is chosen in 94 % of the pairs, whatever it says " * 2
    findings = [finding(code, Severity.error, long) for code in ("PC400", "PC100", "PC600")]
    write_examination(examined(*findings, drops={1: "PC100"}), tmp_path / "page.html")
    browser.open((tmp_path / "page.html").as_uri())
    for name in ("verdict", "first", "key"):
        bottom = browser.run(f"document.querySelector('.{name}').getBoundingClientRect().bottom")
        assert 0 < bottom <= 800, name
