"""Shortcuts: trivial rules that predict the labels, which a model will learn before the rest."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from preftune.checks.cases import Account, Case, Conclusion
from preftune.checks.noise.predictability import by_form
from preftune.checks.shortcuts.features import COUNTS, form_of
from preftune.checks.shortcuts.openings import Openings
from preftune.checks.shortcuts.rules import Measured, best_first, measure, measure_thumbs
from preftune.checks.shortcuts.telling import told
from preftune.records import Finding

Ints = NDArray[np.int32]

_LENGTHS = ("characters", "words")
RULES = {
    "characters": ("longer", "shorter"),
    "words": ("more words", "fewer words"),
    "refusals": ("refuses", "does not refuse"),
}
"""What a rule is called where more wins, and where less wins; others: `more …`, `fewer …`."""
_MOST = 2**15 - 1


@dataclass(slots=True)
class Sides:
    """Form of chosen minus rejected, 40 bytes a pair; for thumbs the form of each response."""

    forms: array[int] = field(default_factory=lambda: array("h"))
    """Two bytes a count: what is beyond them is as good as at their end."""
    prompts: array[int] = field(default_factory=lambda: array("i"))
    rows: array[int] = field(default_factory=lambda: array("i"))
    good: array[int] = field(default_factory=lambda: array("b"))
    """Thumbs only: 1 up, 0 down."""

    def add(self, form: Sequence[int], case: Case, good: bool | None = None) -> None:
        """Keep a pair or a response."""
        self.forms.extend(max(-_MOST, min(_MOST, count)) for count in form)
        self.prompts.append(case.prompt_number)
        self.rows.append(case.index)
        if good is not None:
            self.good.append(good)

    @property
    def table(self) -> NDArray[np.int16]:
        """Shape (pair or response, count)."""
        return np.frombuffer(self.forms, np.int16).reshape(-1, len(COUNTS))

    @property
    def clusters(self) -> Ints:
        """The prompt's number, shape (pair or response,)."""
        return np.frombuffer(self.prompts, np.int32)


@dataclass(slots=True)
class Shortcuts:
    """PC400 to PC405: length, form, refusals, position, first words, and all of form at once."""

    classify: bool = False
    """Whether to fit the classifier of PC405, too."""
    pairs: Sides = field(default_factory=Sides)
    thumbs: Sides = field(default_factory=Sides)
    _openings: Openings = field(default_factory=Openings)
    _shown: array[int] = field(default_factory=lambda: array("b"))
    """Of each pair: 1 where the one shown first won, -1 the later, 0 unknown order."""

    def see(self, case: Case) -> None:
        """Count the form of each response once, and keep the difference of each pair."""
        if not case.pairs:
            self._see_thumbs(case)
            return
        forms: dict[int, list[int]] = {}
        begins: dict[int, tuple[int, ...]] = {}
        for side in {side for pair in case.pairs for side in (pair.winner, pair.loser)}:
            forms[side] = form_of(case.responses[side])
            begins[side] = self._openings.numbers_of(case.responses[side])
        for pair in case.pairs:
            one, other = forms[pair.winner], forms[pair.loser]
            self.pairs.add([a - b for a, b in zip(one, other, strict=True)], case)
            self._openings.add(begins[pair.winner], begins[pair.loser])
            first = 1 if pair.winner < pair.loser else -1
            self._shown.append(first if case.group.shown else 0)

    def _see_thumbs(self, case: Case) -> None:
        for text, response in zip(case.responses, case.group.responses, strict=True):
            if response.rating is not None and response.rating.good is not None:
                self.thumbs.add(form_of(text), case, response.rating.good)

    def conclude(self, account: Account) -> Conclusion:
        """Measure every rule; each code tells of the strongest of its rules."""
        rules = {code: best_first(list(found)) for code, found in self._measured().items()}
        every = best_first([rule for found in rules.values() for rule in found])
        if not every:
            return Conclusion()
        findings: list[Finding] = []
        unit = "responses" if self._of_thumbs else "pairs"
        for code, found in rules.items():
            findings += told(code, found, unit)
        if self.classify and len(self.pairs.rows):
            every_form = by_form(self.pairs.table, self.pairs.clusters, every[0])
            findings += [every_form] if every_form else []
        return Conclusion(findings, {"shortcuts": [rule.as_json for rule in every]})

    @property
    def _of_thumbs(self) -> bool:
        return not len(self.pairs.rows) and bool(len(self.thumbs.rows))

    def _measured(self) -> dict[str, list[Measured]]:
        found: dict[str, list[Measured]] = {f"PC40{number}": [] for number in range(5)}
        for name in COUNTS:
            rule = self._form_rule(name)
            if rule is not None:
                found[_code(name)].append(rule)
        if len(self.pairs.rows):
            found["PC403"] += self._position()
            found["PC404"] += self._opening()
        return found

    def _form_rule(self, name: str) -> Measured | None:
        names = RULES.get(name, (f"more {name}", f"fewer {name}"))
        column = COUNTS.index(name)
        if self._of_thumbs:
            sides = self.thumbs
            good = np.frombuffer(sides.good, np.int8) > 0
            return measure_thumbs(names, sides.table[:, column], good, sides.clusters)
        if not len(self.pairs.rows):
            return None
        return measure(names, self.pairs.table[:, column], self.pairs.clusters)

    def _position(self) -> Iterator[Measured]:
        shown = np.frombuffer(self._shown, np.int8)
        known = shown != 0
        if known.any():
            rule = measure(("shown first", "shown last"), shown[known], self.pairs.clusters[known])
            if rule is not None:
                yield rule

    def _opening(self) -> Iterator[Measured]:
        """Selected on the prompts with odd numbers, measured on the others."""
        prompts = self.pairs.clusters
        selecting = prompts % 2 == 1
        found = self._openings.telling(selecting)
        if found is not None:
            opening, sides = found
            names = (f"begins “{opening}”", f"does not begin “{opening}”")
            rule = measure(names, sides[~selecting], prompts[~selecting])
            if rule is not None:
                yield rule


def _code(name: str) -> str:
    if name in _LENGTHS:
        return "PC400"
    return "PC402" if name == "refusals" else "PC401"
