import numpy as np
import pytest

from preftune.checks.examine import gather, run_checks
from preftune.checks.shortcuts.formatting import Formatting, same_but_for_formatting
from preftune.records import Group, Message, Relation, Response, Severity, Silent
from preftune.sources import stream

TEXT = "Boil the water first. Then add 2 spoons of tea; wait!\nPour it, and enjoy – it’s done."
STYLES = {
    "bold": lambda text: text.replace("water", "**water**").replace("tea", "__tea__"),
    "heading": lambda text: "## " + text,
    "numbers": lambda text: "1. " + text.replace("\n", "\n2. "),
    "bullets": lambda text: "- " + text.replace("\n", "\n* "),
    "case": str.upper,
    "punctuation": lambda text: text.replace(".", "!").replace(";", " -"),
    "space": lambda text: "  " + text.replace(" ", "\n\n"),
    "emoji": lambda text: "☕️ " + text + " 🙂👍🏽",
    "fence": lambda text: "```text\n" + text + "\n```",
    "html": lambda text: "<p>" + text.replace("water", "<b>water</b>") + "</p>",
    "link": lambda text: text.replace("water", "[water](https://example.org/water)"),
    "table": lambda text: "| " + text.replace("\n", " |\n| ") + " |",
    "quote": lambda text: "> " + text,
}


@pytest.mark.parametrize("style", STYLES)
def test_every_style_is_seen_through_in_both_directions(style):
    styled = STYLES[style](TEXT)
    assert styled != TEXT
    assert same_but_for_formatting(TEXT, styled)
    assert same_but_for_formatting(styled, TEXT)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TEXT, TEXT.replace("2", "3")),
        (TEXT, TEXT + " Really."),
        (TEXT, TEXT.replace("first", "last")),
        ("की", "का"),  # vowel signs are marks, and tell words apart
        ("<a>", "<c>"),
    ],
)
def test_words_are_no_formatting(one, other):
    assert not same_but_for_formatting(one, other)


def groups_of(pairs):
    for number, (chosen, rejected) in enumerate(pairs):
        sides = tuple(Response((Message("assistant", text),)) for text in (chosen, rejected))
        yield Group((Message("user", str(number)),), sides, (Relation(0, 1),), f"f:{number + 1}")


def examined(pairs):
    groups = list(groups_of(pairs))
    return gather(lambda: groups, run_checks(lambda: groups, [Formatting()], Silent()))


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.2, 1.0])
def test_planted_pairs_are_all_found_in_real_text(rate, shared):
    random = np.random.default_rng(0)
    path = str(shared / "data/hh-harmless/train.jsonl.gz")
    real = [one for one in stream(path).items if isinstance(one, Group)][:1_000]
    texts = [[response.turns[0].content for response in one.responses] for one in real]
    already = {n for n, (one, other) in enumerate(texts) if same_but_for_formatting(one, other)}
    planted = set(random.choice(len(texts), round(rate * len(texts)), replace=False).tolist())
    styles = [STYLES[name] for name in ("bullets", "case", "emoji", "fence", "space", "quote")]
    for number in planted:
        texts[number][0] = styles[number % len(styles)](texts[number][1])
    (finding,) = examined(texts).findings
    assert finding.count == len(planted | already)
    expected = Severity.error if rate == 1 else Severity.warning if rate >= 0.01 else Severity.info
    assert finding.severity is expected
    if rate == 1:
        assert finding.sentence == "all pairs differ in formatting only."


def test_nothing_is_said_of_pairs_that_differ():
    assert not examined([("yes", "no")]).findings
    assert not examined([]).findings
