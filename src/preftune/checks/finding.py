"""Make a finding: what its code means is looked up, what was seen is given."""

from collections.abc import Iterable

from preftune.checks.codes import MEANINGS
from preftune.records import Estimate, Example, Finding, Severity

SHOWN = 3
"""Examples of each finding."""
WIDTH = 240
"""Characters of an excerpt."""


def finding(
    code: str,
    severity: Severity,
    sentence: str,
    count: int,
    total: int,
    *,
    unit: str = "rows",
    examples: Iterable[Example] = (),
    estimate: Estimate | None = None,
    fix: str = "",
) -> Finding:
    """A finding of a known code, with at most `SHOWN` examples."""
    meaning = MEANINGS[code]
    return Finding(
        code=code,
        severity=severity,
        sentence=sentence,
        count=count,
        total=total,
        unit=unit,
        why=meaning.why,
        fix=fix or meaning.fix,
        examples=tuple(example for _, example in zip(range(SHOWN), examples, strict=False)),
        estimate=estimate,
    )


def excerpt(text: str, at: int = 0, width: int = WIDTH) -> str:
    """What stands around a place in a text, `…` where more is left out.

    >>> excerpt("one two three four", at=8, width=9)
    '…two three…'
    """
    start = max(0, min(at - width // 2, len(text) - width)) if at else 0
    end = min(len(text), start + width)
    if start and not text[start - 1].isspace() and " " in text[start:at]:  # not inside a word
        start = text.index(" ", start, at) + 1
    return "…" * (start > 0) + text[start:end].strip() + "…" * (end < len(text))


def many(number: int, noun: str) -> str:
    """`1 pair`, `1,234 pairs`."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def verb(count: int, plural: str) -> str:
    """What so many do: `1 row holds`, `2 rows hold`.

    >>> verb(1, "have"), verb(2, "have"), verb(1, "repeat"), verb(0, "are")
    ('has', 'have', 'repeats', 'are')
    """
    singular = {"are": "is", "have": "has"}.get(plural, f"{plural}s")
    return singular if count == 1 else plural


def percent(share: float) -> str:
    """A share for a sentence: `12 %`, `3.4 %`, `0.05 %`.

    >>> percent(0.123), percent(0.034), percent(0.0005), percent(0.0)
    ('12 %', '3.4 %', '0.05 %', '0 %')
    """
    value = 100 * share
    digits = 0 if value >= 10 or value == 0 else 1 if value >= 1 else 2
    return f"{value:.{digits}f} %"
