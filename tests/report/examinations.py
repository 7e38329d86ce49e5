"""Examinations to draw: made by hand where a test needs to know every letter."""

from preftune.checks.codes import MEANINGS
from preftune.records import Estimate, Examination, Example, Finding, Severity


def found(code="PC400", severity=Severity.error, text="half of it is wrong", **given):
    """A finding with three examples."""
    excerpts = given.pop("excerpts", {"prompt": "Why?", "chosen": "Because.", "rejected": "No."})
    examples = tuple(
        Example(row, f"pairs.jsonl:{row + 1}", excerpts, note=given.get("note", ""))
        for row in range(3)
    )
    return Finding(
        code, severity, text, 30, 60, unit="pairs", examples=examples,
        why=given.get("why", "it is learned."), fix=given.get("fix", "mend it."),
        estimate=given.get("estimate", Estimate(0.5, 0.4, 0.6, 60)),
    )  # fmt: skip


def examined(*findings, **given):
    """An examination of 60 rows with these findings."""
    known = {
        "data": "pairs.jsonl",
        "layout": "pairs: prompt, chosen, rejected",
        "fingerprint": "0123456789abcdef" * 4,
        "rows": 62,
        "used": 60,
        "excluded": {"not JSON": 2},
        "pairs": 60,
        "prompts": 30,
    }
    return Examination(**{**known, **given}, findings=findings)


def many(count):
    """So many findings of all codes and severities."""
    codes = list(MEANINGS)
    levels = sorted((Severity(n % 3) for n in range(count)), reverse=True)
    return [found(codes[n % len(codes)], level) for n, level in enumerate(levels)]
