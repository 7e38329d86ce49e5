"""What `--fix` made of the data: the account of its rows, and the log of its changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from preftune.records import Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of the log: a row that is left out, or what one mend did to its texts."""

    source: str
    """`file:line` in the data."""
    code: str
    """The finding that asked for it; empty for rows that nobody expects to be used."""
    action: Literal["dropped", "changed"]
    what: str
    """In words."""
    before: Mapping[str, str] = field(default_factory=dict[str, str])
    """Excerpts by place: `prompt`, `chosen`, `rejected`, …"""
    after: Mapping[str, str] = field(default_factory=dict[str, str])
    """The same places, changed; nothing of a row that is left out."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a row."""

    number: int
    """Among the used rows, from 0; -1 for one that was never used."""
    group: Group | None
    """None where it is left out."""
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """The account of a mended copy: rows in = written + dropped."""

    out: Path
    log: Path
    rows: int
    written: int
    dropped: Mapping[str, int]
    """Rows left out, by code and what it is about; the most frequent first."""
    changed: Mapping[str, int]
    """Rows with changed texts, by code: a row may count for several."""

    def __post_init__(self) -> None:
        assert self.rows == self.written + sum(self.dropped.values()), "in = written + dropped"

    def summary(self) -> str:
        """`1,600 rows: 1,590 written, 10 dropped (10 PC200 Exact repeats); 3 changed (…)`."""
        dropped = sum(self.dropped.values())
        changed = _listed(self.changed) or "none"
        text = f"{self.rows:,} rows: {self.written:,} written, {dropped:,} dropped"
        return text + (f" ({_listed(self.dropped)})" if dropped else "") + f"; changed: {changed}"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in counts.items())
