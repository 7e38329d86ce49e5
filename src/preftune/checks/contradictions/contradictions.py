"""PC300 and PC301: judgements that no model can satisfy together."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from preftune.checks.cases import Account, Case, Conclusion
from preftune.checks.contradictions.cycles import against, cyclic, one_cycle
from preftune.checks.contradictions.judged import Judged, Votes
from preftune.checks.finding import finding, many, percent, verb
from preftune.checks.grading import graded
from preftune.checks.repeats.shingles import Places
from preftune.records import Example, Finding, Severity


@dataclass(slots=True)
class Contradictions:
    """Finds pairs judged both ways, and cycles of the majority's preferences among responses.

    Where all judges of a pair are named, and each judged it once, they disagree and nothing is
    wrong with the data: only evenly split pairs are counted, and nothing is left out.
    """

    _judged: Judged = field(default_factory=Judged)

    def see(self, case: Case) -> None:
        """Remember the row's judgements."""
        self._judged.add(case)

    def conclude(self, account: Account) -> Conclusion:
        """Count both, pairs judged both ways first."""
        votes = self._judged.votes()
        if not len(votes.pairs):
            return Conclusion()
        findings: list[Finding] = []
        drops: dict[int, str] = {}
        both = np.abs(votes.lead) < votes.total
        for found, rows in (
            _contested(votes, both & ~votes.by_people, account),
            _split(votes, both & votes.by_people),
            _cycles(votes, account),
        ):
            if found:
                findings.append(found)
                drops = dict.fromkeys(rows.tolist(), found.code) | drops
        return Conclusion(findings, drops=drops)


_Found = tuple[Finding | None, Places]
"""A finding and the rows that it leaves out."""
_NO_ROWS = np.empty(0, np.int64)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


def _contested(votes: Votes, pairs: NDArray[np.bool_], account: Account) -> _Found:
    """Pairs that somebody, or nobody knows who, judged both ways."""
    count = int(pairs.sum())
    if not count:
        return None, _NO_ROWS
    lead = votes.lead[votes.pairs]
    minority = (lead == 0) | ((lead > 0) != votes.forward)
    bad = votes.mostly(pairs[votes.pairs] & minority)
    share = count / len(pairs)
    found = finding(
        "PC300",
        graded(share, warning=0.01, error=0.2),
        f"{many(count, 'pair')} ({percent(share)}) {verb(count, 'are')} judged both "
        f"ways, in {int(pairs[votes.pairs].sum()):,} judgements.",
        count,
        len(pairs),
        unit="pairs",
        examples=_opposites(votes, pairs, account),
    )
    return found, bad


def _opposites(votes: Votes, pairs: NDArray[np.bool_], account: Account) -> Iterator[Example]:
    """The first judgement of each pair that has both, and the first against it."""
    sides: dict[int, dict[bool, int]] = {}
    for at in np.flatnonzero(pairs[votes.pairs]).tolist():
        seen = sides.setdefault(int(votes.pairs[at]), {})
        if len(seen) == 2:
            continue
        seen.setdefault(bool(votes.forward[at]), int(votes.rows[at]))
        if len(seen) == 2:
            row, against = seen.values()
            yield Example(row, note=f"the other way round in {account.sources[against]}")


def _split(votes: Votes, pairs: NDArray[np.bool_]) -> _Found:
    """Pairs on which named judges are evenly divided."""
    even = np.flatnonzero(pairs & (votes.lead == 0))
    if not len(even):
        return None, _NO_ROWS
    _, first = np.unique(votes.pairs, return_index=True)
    share = len(even) / len(pairs)
    found = finding(
        "PC300",
        Severity.info,
        f"the annotators are evenly divided over {many(len(even), 'pair')} ({percent(share)}).",
        len(even),
        len(pairs),
        unit="pairs",
        fix="nothing to do: `--convert majority` leaves them out.",
        examples=(Example(int(votes.rows[first[pair]])) for pair in even),
    )
    return found, _NO_ROWS


def _cycles(votes: Votes, account: Account) -> _Found:
    """Pairs of which the majority's preferences run in a circle."""
    lead = votes.lead[votes.pairs]
    enough = np.bincount(votes.prompts)[votes.prompts] >= 3
    held = np.flatnonzero(enough & ((lead > 0) & votes.forward | (lead < 0) & ~votes.forward))
    own = votes.prompts[held].astype(np.uint64) * _SPREAD  # what is said to two prompts is two
    sides = np.concatenate([votes.winners[held] ^ own, votes.losers[held] ^ own])
    nodes, ends = np.unique(sides, return_inverse=True)
    winners, losers = np.split(ends, 2)
    parts = cyclic(len(nodes), winners, losers)
    inside = np.flatnonzero((parts[winners] == parts[losers]) & (parts[winners] >= 0))
    if not len(inside):
        return None, _NO_ROWS
    part_of = np.zeros(len(lead), np.bool_)
    part_of[held[inside]] = True
    bad = np.zeros(len(lead), np.bool_)
    bad[held[inside[against(winners[inside], losers[inside])]]] = True
    count, total = len(np.unique(votes.pairs[bad])), len(votes.total)
    circling = len(np.unique(votes.pairs[part_of]))
    prompts = np.unique(votes.prompts[part_of])

    def examples() -> Iterator[Example]:
        for part in np.unique(parts[winners[inside]]):
            at = inside[parts[winners[inside]] == part]
            circle = one_cycle(winners[at].tolist(), losers[at].tolist())
            rows = votes.rows[held[at[circle]]].tolist()
            yield Example(rows[0], note=_spelt([account.sources[row] for row in rows]))

    found = finding(
        "PC301",
        graded(count / total, warning=0.01, error=0.2),
        f"the preferences of {many(len(prompts), 'prompt')} run in circles, through "
        f"{many(circling, 'pair')}; without at most {count:,} of them "
        f"({percent(count / total)} of all) there are none.",
        count,
        total,
        unit="pairs",
        examples=examples(),
    )
    return found, votes.mostly(bad)


def _spelt(sources: list[str]) -> str:
    """`A over B (f:1), B over C (f:7), C over A (f:9)`."""
    letters = [chr(ord("A") + number % 26) * (1 + number // 26) for number in range(len(sources))]
    after = [*letters[1:], letters[0]]
    steps = zip(letters, after, sources, strict=True)
    return ", ".join(f"{one} over {other} ({source})" for one, other, source in steps)
