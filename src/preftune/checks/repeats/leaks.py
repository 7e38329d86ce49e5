"""PC203 and PC204: prompts that are trained on and held out, too."""

import hashlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from preftune.checks.cases import Account, Case, Conclusion
from preftune.checks.examine import Items
from preftune.checks.finding import finding, many, percent, verb
from preftune.checks.grading import graded
from preftune.checks.repeats.clusters import matches
from preftune.checks.repeats.near import NearRepeats
from preftune.checks.repeats.shingles import Numbers, Places
from preftune.checks.repeats.sketches import PromptSketches
from preftune.checks.repeats.splits import is_held_out
from preftune.errors import DataError
from preftune.records import Example, Exclusion, Finding, Group, Message, Severity


@dataclass(slots=True)
class Leaks:
    """Compares the prompts with those of a held-out file, which is read when all rows were seen.

    Prompts are equal whatever their case and white space. Rows with a held-out file's prompt are
    left out by `--fix`.
    """

    held_out: Items
    name: str
    """What to call the held-out file."""
    near: NearRepeats | None = None
    """Has sketches of the prompts; without it only equal prompts are found."""
    _keys: "array[int]" = field(default_factory=lambda: array("Q"))
    """Of each distinct prompt."""
    _numbers: "array[int]" = field(default_factory=lambda: array("I"))
    """Which prompt each row has."""

    def see(self, case: Case) -> None:
        """Remember the row's prompt."""
        if case.prompt_number == len(self._keys):
            self._keys.append(plain_key(case.group.prompt))
        self._numbers.append(case.prompt_number)

    def conclude(self, account: Account) -> Conclusion:
        """Read the held-out file and look for its prompts."""
        numbers = np.frombuffer(self._numbers, np.uint32)
        _, first_rows = np.unique(numbers, return_index=True)
        if self.near:
            self.near.prompts.flush()  # what is common is known then
        other = _read(self.held_out, self.near.prompts if self.near else None)
        if not len(other.keys):
            raise _unread(self.name)
        if not len(numbers):
            return Conclusion()
        keys = np.frombuffer(self._keys, np.uint64)
        leaked = np.flatnonzero(np.isin(other.keys, keys))
        findings: list[Finding] = []
        drops: dict[int, str] = {}
        if len(leaked):
            bad = np.flatnonzero(np.isin(keys, other.keys))
            rows = np.flatnonzero(np.isin(numbers, bad))
            drops = dict.fromkeys(rows.tolist(), "PC203")
            where = dict(zip(other.keys.tolist(), other.sources, strict=True))
            examples = (
                Example(int(first_rows[at]), note=f"also in {where[int(keys[at])]}") for at in bad
            )
            findings.append(_finding("PC203", self.name, len(leaked), len(other.keys), examples))
        findings += self._nearly(other, leaked, first_rows)
        return Conclusion(findings or [_none(self.name, other)], drops=drops)

    def _nearly(self, other: "_Prompts", leaked: Places, rows: Places) -> list[Finding]:
        """PC204, for the held-out prompts that did not leak word for word."""
        if self.near is None or other.sketches is None:
            return []
        mine, theirs = other.sketches, self.near.prompts
        found = matches(mine.bands(), theirs.bands(), mine.near(theirs))
        found[leaked] = -1
        close = np.flatnonzero(found >= 0)
        if not len(close):
            return []
        examples = (
            Example(int(rows[found[at]]), note=f"nearly the prompt of {other.sources[at]}")
            for at in close
        )
        return [_finding("PC204", self.name, len(close), len(other.keys), examples)]


@dataclass(slots=True)
class SplitLeaks:
    """Compares the splits of one file whose rows say in a column `split` where they belong.

    Every split that is called test, validation or the like is held out from all others. The rows
    that `--fix` leaves out are the training ones. Without such a column it keeps nothing.
    """

    _keys: "array[int]" = field(default_factory=lambda: array("Q"))
    _rows: "array[int]" = field(default_factory=lambda: array("I"))
    _held: bytearray = field(default_factory=bytearray)

    def see(self, case: Case) -> None:
        """Remember the prompt of a row that has a split."""
        held = is_held_out(case.group.metadata)
        if held is not None:
            self._keys.append(plain_key(case.group.prompt))
            self._rows.append(case.index)
            self._held.append(held)

    def conclude(self, account: Account) -> Conclusion:
        """Look for prompts that are in both."""
        keys, rows = np.frombuffer(self._keys, np.uint64), np.frombuffer(self._rows, np.uint32)
        held = np.frombuffer(self._held, np.bool_)
        both = np.intersect1d(keys[held], keys[~held])
        if not len(both):
            return Conclusion()
        bad = np.flatnonzero(np.isin(keys, both) & ~held)
        tested, first = np.unique(keys[held], return_index=True)
        where = dict(zip(tested.tolist(), rows[held][first].tolist(), strict=True))
        examples = (
            Example(int(rows[at]), note=f"also in {account.sources[where[int(keys[at])]]}")
            for at in bad
        )
        found = _finding("PC203", "the file's own test split", len(both), len(tested), examples)
        return Conclusion([found], drops=dict.fromkeys(rows[bad].tolist(), "PC203"))


def plain_key(prompt: Iterable[Message]) -> int:
    """A number of 64 bits that stands for a prompt's words, whatever their case and spaces."""
    words = " ".join(turn.content for turn in prompt).casefold().split()
    content = " ".join(words).encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


@dataclass(frozen=True, slots=True)
class _Prompts:
    """The distinct prompts of the held-out file."""

    keys: Numbers
    sources: list[str]
    sketches: PromptSketches | None
    left: int
    """Broken rows: nobody knows what they ask."""


def _read(items: Items, alike: PromptSketches | None) -> _Prompts:
    """The held-out file's prompts, sketched like others: the same shingles are common ones."""
    sketches = PromptSketches(common=alike.common) if alike else None
    keys: dict[int, str] = {}
    left = 0
    for item in items():
        left += isinstance(item, Exclusion) and item.broken
        if isinstance(item, Group) and (key := plain_key(item.prompt)) not in keys:
            keys[key] = item.source
            if sketches:
                sketches.add(item.prompt)
    if sketches:
        sketches.flush()
    return _Prompts(np.array(list(keys), np.uint64), list(keys.values()), sketches, left)


def _none(name: str, other: _Prompts) -> Finding:
    """That nothing leaks is worth a line: it was asked."""
    left = f"; {many(other.left, 'row')} of it can't be read" if other.left else ""
    return finding(
        "PC203",
        Severity.warning if other.left else Severity.info,
        f"none of the {many(len(other.keys), 'prompt')} of {name} is trained on{left}.",
        0,
        len(other.keys),
        unit="prompts",
    )


def _unread(name: str) -> DataError:
    return DataError(
        "PT104",
        "no row of the held-out file can be read",
        why="nobody can say whether its prompts are trained on.",
        fix="`preftune check` on that file says what is wrong with it.",
        where=name,
    )


def _finding(code: str, name: str, count: int, total: int, examples: Iterable[Example]) -> Finding:
    share = count / total
    how = verb(count, "are") + (" nearly" if code == "PC204" else "")
    return finding(
        code,
        graded(share, warning=0.005, error=0.05),
        f"{many(count, 'prompt')} ({percent(share)}) of {name} {how} trained on, too.",
        count,
        total,
        unit="prompts",
        examples=examples,
    )
