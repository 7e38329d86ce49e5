"""PC205: rows that hold questions of a benchmark."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from preftune.checks.cases import Account, Case, Conclusion
from preftune.checks.finding import finding, many, percent, verb
from preftune.checks.grading import graded
from preftune.checks.repeats.shingles import Numbers, Places, Shingles, runs_of, words_of
from preftune.errors import DataError
from preftune.records import Example, Exclusion
from preftune.sources.files import open_data

LONG, SHORT, SHORTEST = 13, 8, 4
"""A text of the benchmark with 13 words or more is met where any 13 of its words in a row stand in
the data; one of 8 to 12 where any 8 do; one of 4 to 7 where a user's turn says just that."""
_MOST_TEXTS = 10
"""A run of words that more of the benchmark's texts share is its way of asking, not a question."""
_TEXTS_AT_ONCE = 500
_CHARACTERS_AT_ONCE = 200_000
_BITS = 22
"""Of a run's number: one look in a table of 2^22 says that it is certainly not met."""


@dataclass(frozen=True, slots=True)
class _Runs:
    """The runs of one length that a benchmark holds."""

    numbers: Numbers
    """Sorted."""
    texts: Places
    """The first text that each is of."""
    maybe: NDArray[np.bool_]

    def met(self, runs: Shingles) -> tuple[Places, Places]:
        """The texts of `runs` that hold some of these runs, and the benchmark's texts held."""
        at = np.flatnonzero(self.maybe[runs.numbers >> np.uint64(64 - _BITS)])
        place = np.minimum(np.searchsorted(self.numbers, runs.numbers[at]), len(self.numbers) - 1)
        right = self.numbers[place] == runs.numbers[at]
        return runs.owners[at[right]], self.texts[place[right]]


@dataclass(slots=True)
class Benchmark:
    """Finds rows that overlap with a benchmark: some 12 bytes a word of it, nothing a row.

    References:
        Brown et al. 2020, arXiv:2005.14165, appendix C: runs of 13 words; those that are met more
            than ten times are left out.
        Chowdhery et al. 2022, arXiv:2204.02311, section 8: runs of 8 words.
    """

    name: str
    places: Sequence[str]
    """`file:line` of each of its texts."""
    runs: Mapping[int, _Runs]
    """By their length in words."""
    _hits: dict[int, int] = field(default_factory=dict[int, int])
    """Rows that overlap, each with the first text that it overlaps with."""
    _met: set[int] = field(default_factory=set[int])
    _waiting: list[tuple[int, bool, str]] = field(default_factory=list[tuple[int, bool, str]])
    """Row, whether a user says it, and a turn."""
    _characters: int = 0

    def see(self, case: Case) -> None:
        """Look for the benchmark's runs of words in prompt and responses."""
        for turn in case.group.prompt:
            self._add(case.index, turn.role == "user", turn.content)
        for response in case.responses:
            self._add(case.index, False, response)
        if len(self._waiting) >= _TEXTS_AT_ONCE or self._characters >= _CHARACTERS_AT_ONCE:
            self._flush()

    def conclude(self, account: Account) -> Conclusion:
        """Count the rows that overlap."""
        self._flush()
        if not self._hits:
            return Conclusion()
        share = len(self._hits) / len(account.sources)
        found = finding(
            "PC205",
            graded(share, warning=0.001, error=0.05),
            f"{many(len(self._hits), 'row')} ({percent(share)}) {verb(len(self._hits), 'hold')} "
            "text of "
            f"the benchmark {self.name}: {len(self._met):,} of its "
            f"{many(len(self.places), 'text')} can be met there.",
            len(self._hits),
            len(account.sources),
            examples=(
                Example(row, note=f"overlaps with {self.places[text]}")
                for row, text in self._hits.items()
            ),
        )
        return Conclusion([found], drops=dict.fromkeys(self._hits, "PC205"))

    def _add(self, row: int, asked: bool, text: str) -> None:
        self._waiting.append((row, asked, text))
        self._characters += len(text)

    def _flush(self) -> None:
        words = words_of([text for _, _, text in self._waiting])
        asked = np.array([asked for _, asked, _ in self._waiting], np.bool_)
        for length, runs in self.runs.items():
            chosen = words
            if length < SHORT:
                chosen = words.only((asked & (words.counts == length))[words.owners])
            held, texts = runs.met(runs_of(chosen, length))
            for at, text in zip(held, texts, strict=True):
                self._hits.setdefault(self._waiting[int(at)][0], int(text))
                self._met.add(int(text))
        self._waiting.clear()
        self._characters = 0


def benchmark(path: str) -> Benchmark:
    """A check for the overlap with a file of questions.

    Args:
        path: A file of any layout, of which every text in every column counts; or a text file of
            which every line does.

    Raises:
        DataError: PT100 to PT102: it can't be read, or holds no text.
    """
    places: dict[str, str] = {}
    for place, text in _lines(path) if path.lower().endswith(".txt") else _columns(path):
        places.setdefault(text, place)
    if not places:
        raise DataError(
            "PT102",
            "the benchmark holds no texts",
            why="nothing can be compared with it.",
            fix="give a file of questions: JSONL with text columns, or a .txt with one a line.",
            where=path,
        )
    return Benchmark(Path(path).name, list(places.values()), _runs(list(places)))


def _runs(texts: Sequence[str]) -> dict[int, _Runs]:
    """What to look for, by length."""
    parts = [
        words_of(texts[at : at + _TEXTS_AT_ONCE]) for at in range(0, len(texts), _TEXTS_AT_ONCE)
    ]
    words = Shingles(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.counts for part in parts]),
    )
    spans = {LONG: (LONG, np.inf), SHORT: (SHORT, LONG - 1)}
    spans |= {length: (length, length) for length in range(SHORTEST, SHORT)}
    found: dict[int, _Runs] = {}
    for length, (fewest, most) in spans.items():
        fits = (words.counts >= fewest) & (words.counts <= most)
        runs = runs_of(words.only(fits[words.owners]), length)
        order = np.lexsort((runs.owners, runs.numbers))
        numbers, owners = runs.numbers[order], runs.owners[order]
        new = np.ones(len(numbers), np.bool_)
        new[1:] = (numbers[1:] != numbers[:-1]) | (owners[1:] != owners[:-1])
        numbers, first, counts = np.unique(numbers[new], return_index=True, return_counts=True)
        rare = counts <= _MOST_TEXTS
        if rare.any():
            maybe = np.zeros(1 << _BITS, np.bool_)
            maybe[numbers[rare] >> np.uint64(64 - _BITS)] = True
            found[length] = _Runs(numbers[rare], owners[new][first[rare]], maybe)
    return found


def _lines(path: str) -> Iterator[tuple[str, str]]:
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"{path}:{number}", line.strip()
    except OSError as error:
        raise DataError(
            "PT100",
            f"the benchmark can't be opened: {error.strerror or error}",
            why="nothing can be compared with it.",
            fix="check the path and your permission to read it.",
            where=path,
        ) from error


def _columns(path: str) -> Iterator[tuple[str, str]]:
    for row in open_data(path).items:
        if not isinstance(row, Exclusion):
            for text in _texts(row.columns):
                yield row.place, text


def _texts(value: object) -> Iterator[str]:
    """Every text anywhere inside a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in cast("dict[str, object]", value).values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from _texts(inner)
