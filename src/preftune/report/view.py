"""What the page says, in the order in which it says it: everything but how it looks."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from preftune.checks.codes import MEANINGS
from preftune.records import Estimate, Examination, Example, Finding, Severity
from preftune.report.plot import Bar, Plot
from preftune.report.plots import plots_of

_TITLES = {Severity.error: "Errors", Severity.warning: "Warnings", Severity.info: "Good to know"}
_STEPS = 3
_OPEN = 8
"""So many findings show their examples at once; those of the others are a click away."""
_ROOM = 1_500_000
"""Letters of HTML for all excerpts together, so that the page stays below 3 MB."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A finding as a card."""

    anchor: str
    code: str
    title: str
    sentence: str
    measure: str
    """The figure behind the sentence, with its interval."""
    bar: Bar | None
    why: str
    fix: str
    examples: tuple[Example, ...]
    summary: str
    """What opens the examples."""
    open: bool
    """Whether they are shown at once."""


@dataclass(frozen=True, slots=True)
class Part:
    """A section of the page, and of its table of contents."""

    anchor: str
    title: str
    level: str
    """The severity of its findings; `plots` where it has none."""
    entries: Sequence[Entry | Plot]

    @property
    def counted(self) -> str:
        """What its number of entries is followed by: `2 errors`, `1 error`."""
        title = self.title.lower()
        return title.removesuffix("s") if len(self.entries) == 1 else title


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """A number that a person looks for first."""

    name: str
    value: str
    more: str


@dataclass(frozen=True, slots=True)
class View:
    """The whole page."""

    title: str
    data: str
    level: str
    """`error`, `warning` or `good`."""
    word: str
    reason: str
    steps: tuple[Entry, ...]
    """What to act on first."""
    next: str
    """What to do where there is nothing to act on."""
    drops: str
    key: tuple[KeyFigure, ...]
    layout: str
    parts: tuple[Part, ...]
    plots: tuple[Plot, ...]
    room: int
    """Letters of HTML for each excerpt."""
    foot: str


def view_of(examination: Examination) -> View:
    """The page of an examination."""
    word, _, reason = examination.verdict.partition(": ")
    parts = tuple(_parts(examination))
    entries = [one for part in parts for one in part.entries if isinstance(one, Entry)]
    acted = [one for one in entries if not one.anchor.startswith("info")]
    plots = tuple(plots_of(examination.figures))
    shown = Part("plots", "Plots", "plots", plots)
    texts = sum(len(one.excerpts) for entry in entries for one in entry.examples)
    return View(
        title=f"{word.capitalize()}: {examination.data}",
        data=examination.data or "Data without a name",
        level=_level(examination),
        word=word.capitalize(),
        reason=reason,
        steps=tuple(acted[:_STEPS]),
        next=_next(examination),
        drops=_drops(examination),
        key=tuple(_key(examination)),
        layout=examination.layout,
        parts=(*parts, *([shown] if plots else [])),
        plots=plots,
        room=max(500, _ROOM // max(1, texts)),
        foot=_foot(examination),
    )


def _level(examination: Examination) -> str:
    if not examination.used:
        return "error"
    return "good" if examination.worst is Severity.info else examination.worst.name


def _next(examination: Examination) -> str:
    if not examination.used:
        return "No row is used: look at the excluded rows, and at how the file is laid out."
    return "Nothing has to be mended: train on it. What is good to know stands below."


def _drops(examination: Examination) -> str:
    count = len(examination.drops)
    if not count:
        return ""
    codes = Counter(examination.drops.values()).most_common()
    named = ", ".join(f"{number:,} for {code}" for code, number in codes)
    rows = "1 row" if count == 1 else f"{count:,} rows"
    return f"`preftune check … --fix OUT.jsonl` writes a copy without {rows} ({named})."


def _key(examination: Examination) -> Iterator[KeyFigure]:
    left = sum(examination.excluded.values())
    account = f"= {examination.used:,} used + {left:,} excluded"
    yield KeyFigure("Rows in", f"{examination.rows:,}", account)
    each = examination.pairs / examination.used if examination.used else 0
    yield KeyFigure("Pairs", f"{examination.pairs:,}", f"{each:.2g} a row used" if each else "")
    share = examination.prompts / examination.used if examination.used else 0
    more = f"{100 * share:.3g} % of the rows used" if share else ""
    yield KeyFigure("Distinct prompts", f"{examination.prompts:,}", more)
    counts = Counter(one.severity for one in examination.findings)
    told = ", ".join(
        f"{counts[level]} {_TITLES[level].lower() if counts[level] != 1 else level.name}"
        for level in (Severity.error, Severity.warning)
    )
    yield KeyFigure("Findings", f"{len(examination.findings):,}", told)
    if examination.fingerprint:
        yield KeyFigure("Fingerprint", examination.fingerprint[:8], "sha256 of the data")


def _foot(examination: Examination) -> str:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in examination.excluded.items())
    excluded = f" Excluded: {reasons}." if reasons else ""
    known = f" sha256 `{examination.fingerprint}`." if examination.fingerprint else ""
    return (
        f"Intervals are of 95 % unless another is named; n counts independent prompts.{excluded}"
        f"{known} `preftune explain CODE` says more of a finding."
    )


def _parts(examination: Examination) -> Iterator[Part]:
    number = 0
    for level in sorted(Severity, reverse=True):
        found = [one for one in examination.findings if one.severity is level]
        entries: list[Entry] = []
        for place, one in enumerate(found, start=1):
            number += 1
            opened = level is not Severity.info and number <= _OPEN
            entries.append(_entry(one, f"{level.name}-{place}", opened))
        if entries:
            yield Part(f"{level.name}s", _TITLES[level], level.name, entries)


def _entry(one: Finding, anchor: str, opened: bool) -> Entry:
    meaning = MEANINGS.get(one.code)
    return Entry(
        anchor=anchor,
        code=one.code,
        title=meaning.title if meaning else one.code,
        sentence=one.sentence,
        measure=_measure(one),
        bar=_bar(one),
        why=one.why,
        fix=one.fix,
        examples=one.examples,
        summary=_summary(one),
        open=opened,
    )


def _summary(one: Finding) -> str:
    """What there is behind the fold; good news keeps its advice there, too."""
    count = len(one.examples)
    examples = "" if not count else "one example" if count == 1 else f"{count} examples"
    if one.severity is not Severity.info:
        return examples.capitalize()
    return f"Why it can matter, {examples}" if examples else "Why it can matter"


def _measure(one: Finding) -> str:
    whole = f"{one.count:,} of {one.total:,} {one.unit}" if one.total else ""
    if one.estimate is None:
        return whole
    return f"{whole} · estimate {interval(one.estimate)}" if whole else interval(one.estimate)


def interval(estimate: Estimate) -> str:
    """`0.941, 95 % interval 0.930 to 0.952 (n = 1,203)`."""
    value, low, high = (f"{part:,.3f}" for part in (estimate.value, estimate.low, estimate.high))
    confidence = f"{100 * estimate.confidence:g} % interval"
    return f"{value}, {confidence} {low} to {high} (n = {estimate.n:,})"


def _bar(one: Finding) -> Bar | None:
    estimate = one.estimate
    if estimate and 0 <= estimate.low <= estimate.value <= estimate.high <= 1:
        return estimate.low, estimate.value, estimate.high
    if estimate or not one.total or (one.count >= one.total and one.severity is Severity.info):
        return None  # "all of them" needs no picture where it is no trouble
    return None, min(1.0, one.share), None
