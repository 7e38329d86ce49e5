"""What an examination of data found: findings, their examples, and the verdict over them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from preftune.records.estimates import Estimate


class Severity(IntEnum):
    """How much a finding matters. They are ordered: `error` is the most severe."""

    info = 0
    """Good to know."""
    warning = 1
    """A model will learn something besides what was meant; a person should look."""
    error = 2
    """Training on this is a mistake."""


@dataclass(frozen=True, slots=True)
class Example:
    """One real row that shows what a finding means."""

    row: int
    """Number of the row among those that are used, from 0; -1 for a row that is not."""
    source: str = ""
    """`file:line`."""
    excerpts: Mapping[str, str] = field(default_factory=dict[str, str])
    """What to look at, by what it is (`prompt`, `chosen`, `rejected`, …), shortened."""
    note: str = ""
    """What was seen there, such as `the same as pairs.jsonl:7`."""
    pair: int | None = None
    """Which of the row's pairs; none where it is about the whole row."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the data holds, in numbers and in words."""

    code: str
    """Such as `PC200`; `preftune explain` knows it."""
    severity: Severity
    sentence: str
    """What was found, as one sentence for a person."""
    count: int
    """How many of `unit`."""
    total: int
    """Of how many."""
    unit: str = "rows"
    """`rows`, `pairs`, `prompts`, `responses`, `judgements` or `annotators`."""
    why: str = ""
    """What comes of it when it is trained on."""
    fix: str = ""
    """What to do about it."""
    examples: tuple[Example, ...] = ()
    estimate: Estimate | None = None
    """The figure behind the sentence with its interval, where there is one."""

    @property
    def share(self) -> float:
        """The part of the whole that it concerns, 0 where there is nothing."""
        return self.count / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """Everything that `check` says of one file."""

    data: str
    """The file or hub name."""
    layout: str
    """How the rows were understood."""
    fingerprint: str
    """sha256 of the data as hex; empty where there is no file."""
    rows: int
    """Rows in = used + excluded."""
    used: int
    excluded: Mapping[str, int]
    """Number of excluded rows by reason."""
    pairs: int
    """Judgements that prefer one response of two."""
    prompts: int
    """Distinct prompts."""
    findings: tuple[Finding, ...]
    """The most severe first."""
    figures: Mapping[str, object] = field(default_factory=dict[str, object])
    """What the plots show, as JSON: one entry for each plot."""
    drops: Mapping[int, str] = field(default_factory=dict[int, str])
    """Used rows that a mended copy leaves out, by number, and the code that says why."""

    @property
    def worst(self) -> Severity:
        """The highest severity found; `info` where nothing was."""
        return max((one.severity for one in self.findings), default=Severity.info)

    def reaches(self, level: Severity) -> bool:
        """Whether there is a finding at least this severe."""
        return any(one.severity >= level for one in self.findings)

    @property
    def verdict(self) -> str:
        """One line for a person: is this worth training on?"""
        errors, warnings = (
            [one for one in self.findings if one.severity is level]
            for level in (Severity.error, Severity.warning)
        )
        if not self.used:
            return "unusable: no row can be read."
        if errors:
            return f"mend it first: {_listed(errors, 'error')}{_beside(warnings)}"
        if warnings:
            return f"usable with care: {_listed(warnings, 'warning')}"
        return "ready: nothing speaks against training on it."


def by_severity(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The most severe first; among equals in the order of their codes."""
    return tuple(sorted(findings, key=lambda one: (-one.severity, one.code)))


def _listed(findings: Sequence[Finding], what: str) -> str:
    plural = "s" * (len(findings) != 1)
    return f"{len(findings)} {what}{plural}, first: {findings[0].sentence}"


def _beside(warnings: Sequence[Finding]) -> str:
    return f" ({len(warnings)} warning{'s' * (len(warnings) != 1)} beside)" if warnings else ""
