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


RULE = {
    "rule": "longer",
    "decides": 0.99,
    "accuracy": 0.9,
    "low": 0.85,
    "high": 0.93,
    "explained": 0.9,
}
PERSON = {
    "annotator": "w1", "judgements": 30, "agreement": 0.6, "low": -0.1, "high": 1.1,
    "first_share": None, "longer_share": 0.7,
}  # fmt: skip
ENDS = {"chosen": 3, "rejected": 2, "neither": 0}
FIGURES = {
    "shortcuts": [RULE, {**RULE, "rule": "begins “i can't”", "accuracy": 0.55, "low": 0.4}],
    "annotators": [{**PERSON, "annotator": f"w{n}", "agreement": n / 40} for n in range(40)],
    "noise": {
        "estimate": 0.1, "low": 0.08, "high": 0.13, "told": True,
        "curve": [
            {"sureness": 0.1, "agreement": 0.6, "pairs": 50},
            {"sureness": 2.0, "agreement": 0.9, "pairs": 50},
        ],
    },
    "suspicious": [{"row": 1234, "source": "pairs.jsonl:1240", "probability": 0.987}],
    "agreement": {
        "alpha": 0.2, "low": 0.1, "high": 0.3, "alpha_without_ties": None, "pairwise": 0.6,
        "pairs": 50, "divided": 20, "pairs_by_judgements": {"1": 5, "3": 40, "5": 10},
    },
    "score_gaps": {
        "number": 4, "edges": [-2.0, 0.0, 2.0, 4.0], "counts": [1, 2, 1], "quantiles": {"50": 1.0},
        "small": 0.4, "share_small": 0.25, "share_zero": 0.0,
    },
    "lengths": {
        "unit": "characters", "bins": [0, 10, 20], "prompt": [5, 5], "chosen": [2, 8],
        "rejected": [8, 2], "response": [1, 0],
        "quantiles": {
            part: [1, 2, 9, 4, 5, 6] for part in ("prompt", "chosen", "rejected", "response")
        },
    },
    "pairs_per_prompt": {"bins": ["1", "2", "3", "4", "5-9"], "prompts": [7, 0, 2, 0, 0]},
    "endings": {name: ENDS for name in ("closed", "unjudged", "open", "cut")},
    "templates": [{"template": "write a … please", "prompts": 7, "share": 0.35}],
    "languages": {"English": 9, "German": 3, "unknown": 1},
    "tokens": {"edges": [0.0, 10.0, 20.0], "limit": 15, "prompt": [2, 3], "response": [4, 1]},
    "economics": {
        "padded": 100, "separate": 80, "packed": 60, "saved": 0.4, "pairs_per_batch": 8,
    },
    "reference": {
        "chosen": [-1.0, -2.5], "rejected": [-1.5], "expected": [-0.5, -0.7], "prompts": [-3.0],
    },
    "weak_reference": {"own": [0.1, 0.6], "chosen": [0.9, 0.8], "rejected": [0.4, 0.3]},
    "displacement": {"ln_ches": [1.0, -2.0, 0.5], "apart": [0.05, 0.7, 1.2]},
}  # fmt: skip
"""Every figure that the page draws, in the shape in which its check makes it."""
