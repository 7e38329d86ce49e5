import os
import re
import subprocess
import sys
from collections import Counter

import pytest

from preftune.records import Severity
from preftune.report import examination_page, write_examination
from tests.report.examinations import FIGURES, examined, found, many
from tests.report.pages import Page
from tests.report.payloads import OUTSIDE, PAYLOADS


def parsed(examination):
    """The page, once it is known to be sound: what every page must be, whatever was examined."""
    html = examination_page(examination)
    page = Page(html)
    assert len(html.encode()) <= 3_000_000
    assert "script" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    links = [*page.values("href"), *page.values("src"), *page.values("action")]
    assert all(link.startswith("#") or link == "data:," for link in links), links
    ids = Counter(page.values("id"))
    assert not [name for name, count in ids.items() if count > 1]
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    labels = [*page.values("aria-labelledby"), *page.values("aria-describedby")]
    assert set(labels) <= set(ids)
    assert any("default-src 'none'" in value for value in page.values("content"))
    for style in [*re.findall(r"<style>(.*?)</style>", html, re.DOTALL), *page.values("style")]:
        assert not re.search(r"url\((?!#)|@import|expression", style)
    return page


def test_the_verdict_stands_on_top_then_what_to_do_then_the_figures_then_the_findings():
    page = parsed(
        examined(
            found("PC400", Severity.error, "the longer one wins"),
            found("PC200", Severity.warning, "some rows repeat"),
            found("PC503", Severity.info, "prompts are short"),
            drops={3: "PC200", 7: "PC200", 9: "PC102"},
        )
    )
    order = [
        "Mend it first", "1 error, first: the longer one wins (1 warning beside)",
        "What to do first", "Length as a shortcut", "mend it.", "3 rows (2 for PC200, 1 for PC102)",
        "Rows in", "62", "= 60 used + 2 excluded", "Distinct prompts", "01234567",
        "Pairs: prompt, chosen, rejected", "Contents", "1 error", "1 warning", "1 good to know",
        "Errors", "The longer one wins", "30 of 60 pairs", "0.400 to 0.600",
        "Why", "It is learned.",
        "Fix", "Mend it.", "3 examples", "pairs.jsonl:1", "prompt", "Why?", "chosen", "Because.",
        "rejected", "No.", "pairs.jsonl:3", "Warnings", "Exact repeats", "Good to know",
        "Prompts are short", "2 not JSON", "0123456789abcdef" * 4,
    ]  # fmt: skip
    at = 0
    for words in order:
        found_at = page.text.find(words, at)
        assert found_at >= 0, f"{words!r} is missing, or stands before what it should follow"
        at = found_at
    assert page.by_class["severity"] == ["error", "warning", "info"]  # in words, not only colours


def test_a_code_that_is_found_twice_has_two_places():
    page = parsed(examined(found("PC100"), found("PC100", text="another reason")))
    assert page.text.count("Broken rows") == 6  # twice each: what to do, contents, card


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rows": 0, "used": 0, "excluded": {}, "pairs": 0, "prompts": 0}, "Unusable"),
        ({"used": 0, "excluded": {"not JSON": 62}, "pairs": 0, "prompts": 0}, "Unusable"),
        ({"excluded": {}, "rows": 60}, "Ready"),
        ({"data": "", "layout": "", "fingerprint": ""}, "Ready"),
        ({"pairs": 0}, "Ready"),
    ],
)
def test_data_without_findings_or_without_rows_has_a_page(given, words):
    page = parsed(examined(**given))
    assert words in page.text
    assert "What to do first" in page.text
    assert "finding" not in page.by_class


def test_sixty_findings_with_long_texts_stay_below_three_megabytes():
    long = {"prompt": "<" * 10_000, "chosen": "ab " * 3_333, "rejected": "\u200b\u200c" * 5_000}
    page = parsed(examined(*(found(excerpts=long) for _ in range(60))))
    assert len(page.by_class["finding"]) == 60
    assert "more characters" in page.text  # nothing is cut in silence


def test_a_long_text_is_shown_whole_where_there_is_room():
    long = " ".join(str(number) for number in range(2_000))
    page = parsed(examined(found(excerpts={"response": long})))
    assert page.by_class["excerpt"] == [long] * 3


def test_findings_of_every_code_and_severity():
    page = parsed(examined(*many(130)))
    assert len(page.by_class["finding"]) == 130
    assert Counter(page.by_class["severity"]) == {"error": 43, "warning": 43, "info": 44}


def hostile():
    """Every payload everywhere: prompts, responses, names, notes, sources, reasons."""
    findings = [
        found(
            text=text, why=text, fix=text, note=text,
            excerpts={"prompt": text, "chosen": text, "rejected": text, text: text},
        )
        for text in PAYLOADS
    ]  # fmt: skip
    everything = " ".join(PAYLOADS)
    return examined(
        *findings,
        data=everything,
        layout=everything,
        fingerprint=everything,
        excluded=dict.fromkeys(PAYLOADS, 1),
        rows=60 + len(PAYLOADS),
    )


def test_a_hundred_hostile_texts_are_text():
    page = parsed(hostile())
    tame = parsed(examined(*(found(excerpts=dict.fromkeys("abcd", "x")) for _ in PAYLOADS)))
    marks = Counter(page.tags)
    # Marks for what can't be seen, emphasis for code: nothing else is there that was not before.
    assert set(page.tags) <= {*tame.tags, "span", "bdi", "code"}
    assert marks["article"] == len(PAYLOADS)
    shown = page.by_class["excerpt"]
    for number, text in enumerate(PAYLOADS):
        if text.isascii() and text.isprintable():
            assert shown[12 * number] == text  # letter for letter
    seen = examination_page(hostile())
    assert not set(seen) & set(
        "\x1b\x07\x08\x00\x9b\r\u202e\u202a\u2066\u200e\u200b\ufeff\U000e0068"
    )
    assert f'"{OUTSIDE}' not in seen


@pytest.mark.slow
def test_the_same_examination_gives_the_same_bytes_in_every_process(tmp_path):
    examination = examined(*many(9), figures=FIGURES)
    write_examination(examination, tmp_path / "one.html")
    first = (tmp_path / "one.html").read_bytes()
    assert first.decode() == examination_page(examination)
    assert first.count(b'<svg class="drawing"') > 5
    script = (
        "import sys; from pathlib import Path; from preftune.report import write_examination;"
        "from tests.report.examinations import FIGURES, examined, many;"
        "write_examination(examined(*many(9), figures=FIGURES), Path(sys.argv[1]));"
        "assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "two.html")],
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    assert (tmp_path / "two.html").read_bytes() == first
