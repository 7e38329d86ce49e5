"""A sample of pairs, bounded and the same in every run: drawn by the hash of the prompt."""

import heapq
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from preftune.checks.cases import Case
from preftune.records import Relation, TokenGroup
from preftune.records.groups import preferred


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """One pair, or one response where nothing was compared."""

    row: int
    pair: int | None
    prompt: int
    """Number of its prompt: pairs of the same one belong together."""
    group: TokenGroup
    """Its one or two responses, chosen first."""
    sides: tuple[str, ...]
    """`chosen` or `rejected` for each."""


@dataclass(slots=True)
class Sample:
    """Keeps at most `size` pairs: one of each prompt first, then second ones, and so on.

    So a prompt with a thousand pairs does not fill the sample, and few prompts still do. Among
    prompts those with the lowest hashes are taken, whatever the order of the rows.
    """

    size: int
    _heap: list[tuple[int, int, int, Sampled]] = field(
        default_factory=list[tuple[int, int, int, Sampled]], init=False
    )
    """The worst first."""
    _turns: "array[int]" = field(default_factory=lambda: array("I"), init=False)
    """How many pairs of each prompt came by."""
    _seen: int = field(default=0, init=False)

    def see(self, case: Case, group: TokenGroup) -> None:
        """Take the row's pairs where they belong to the sample."""
        if not self.size:
            return
        while len(self._turns) <= case.prompt_number:
            self._turns.append(0)
        key = int.from_bytes(case.prompt_key, "big")
        for pair, sides in _units(case, start=key):
            rank = (-self._turns[case.prompt_number], -key)
            self._turns[case.prompt_number] += 1
            full = len(self._heap) == self.size
            if full and rank <= self._heap[0][:2]:
                return  # later pairs of this prompt rank lower still
            one = Sampled(case.index, pair, case.prompt_number, _of(group, sides), tuple(sides))
            self._seen += 1
            (heapq.heappushpop if full else heapq.heappush)(self._heap, (*rank, -self._seen, one))

    @property
    def drawn(self) -> list[Sampled]:
        """In the order of the rows."""
        found = (one for _, _, _, one in self._heap)
        return sorted(found, key=lambda one: (one.row, one.pair or 0))


def _units(case: Case, start: int) -> Iterator[tuple[int | None, dict[str, int]]]:
    """The row's pairs, from any of them on: which comes first hangs on the prompt's hash."""
    count = len(case.pairs)
    for step in range(count):
        number = (start + step) % count
        relation = case.pairs[number]
        yield number, {"chosen": relation.winner, "rejected": relation.loser}
    if count or not case.responses:
        return
    ratings = [response.rating for response in case.group.responses]
    good = preferred(ratings, ())
    bad = [i for i, rating in enumerate(ratings) if rating is not None and rating.good is False]
    if good or bad:
        yield None, {"chosen": good[0]} if good else {"rejected": bad[0]}


def _of(group: TokenGroup, sides: dict[str, int]) -> TokenGroup:
    responses = tuple(group.responses[index] for index in sides.values())
    relations = (Relation(0, 1),) if len(responses) == 2 else ()
    return TokenGroup(group.prompt_ids, responses, relations, group.source)
