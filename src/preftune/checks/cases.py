"""A row as the checks see it, and what a check is."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Protocol

from preftune.checks.compact import Numbering, Places
from preftune.records import Exclusion, Finding, Group, Message, Rating, Relation


@dataclass(frozen=True, slots=True)
class Case:
    """A group with what several checks ask of it, worked out once."""

    index: int
    """Number of the row among the used ones, in file order, from 0."""
    group: Group
    prompt: str
    """The prompt's turns as one text."""
    prompt_key: bytes
    """8 bytes that stand for the prompt's turns, roles and all."""
    prompt_number: int
    """Number of the distinct prompt, in order of first sight: what belongs together."""
    responses: tuple[str, ...]
    """Each response's turns as one text."""
    response_keys: tuple[bytes, ...]
    pairs: tuple[Relation, ...]
    """Every judgement that prefers one response: the relations that are no ties; where there are
    none at all, every two responses with unequal ranks, or else scores (of very long lists only
    some responses, drawn by their content)."""


@dataclass(slots=True)
class Account:
    """What is known of the whole data once every row was seen."""

    sources: Places = field(default_factory=Places)
    """`file:line` of each used row."""
    pairs: int = 0
    prompts: int = 0


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What one check has to say. Examples without excerpts are filled in from the data later."""

    findings: Sequence[Finding] = ()
    figures: Mapping[str, object] = field(default_factory=dict[str, object])
    """What a plot shows, as JSON, by the plot's name."""
    drops: Mapping[int, str] = field(default_factory=dict[int, str])
    """Rows that a mended copy leaves out, by number, and the finding's code."""


class Check(Protocol):
    """One kind of question: it sees every row once, in order, and then concludes.

    What it keeps of a row is bounded: rows come by the million.
    """

    def see(self, case: Case) -> None:
        """Look at one row."""
        ...

    def conclude(self, account: Account) -> Conclusion:
        """Say what was found."""
        ...


@dataclass(slots=True)
class CaseMaker:
    """Makes cases of groups, numbering rows and distinct prompts."""

    account: Account = field(default_factory=Account)
    _numbers: Numbering = field(default_factory=Numbering)

    def case(self, group: Group) -> Case:
        """The next row's case."""
        key = key_of(group.prompt)
        pairs = pairs_of(group)
        case = Case(
            index=len(self.account.sources),
            group=group,
            prompt=text_of(group.prompt),
            prompt_key=key,
            prompt_number=self._numbers.number(key),
            responses=tuple(text_of(response.turns) for response in group.responses),
            response_keys=tuple(key_of(response.turns) for response in group.responses),
            pairs=pairs,
        )
        self.account.sources.append(group.source)
        self.account.pairs += len(pairs)
        self.account.prompts = len(self._numbers)
        return case


_MOST_RATED = 32
"""Responses of one prompt that are compared, each with each: their pairs grow with the square."""


def pairs_of(group: Group) -> tuple[Relation, ...]:
    """The judgements of a group that prefer one response, as `Case.pairs` has them."""
    if group.relations:
        return tuple(relation for relation in group.relations if not relation.tie)
    known = [response.rating or Rating() for response in group.responses]
    places: list[float | None] = [rating.rank for rating in known]
    if all(place is None for place in places):
        places = [None if rating.score is None else -rating.score for rating in known]
    rated = [(place, index) for index, place in enumerate(places) if place is not None]
    if len(rated) > _MOST_RATED:  # drawn by content: the same ones in every row that has them
        drawn = sorted(rated, key=lambda one: key_of(group.responses[one[1]].turns))
        rated = sorted(drawn[:_MOST_RATED], key=lambda one: one[1])
    return tuple(
        Relation(one, other) if place < lower else Relation(other, one)
        for (place, one), (lower, other) in combinations(rated, 2)
        if place != lower
    )


def cases(items: Iterable[Group | Exclusion], maker: CaseMaker | None = None) -> Iterator[Case]:
    """The cases of the groups among the items."""
    maker = maker or CaseMaker()
    return (maker.case(item) for item in items if isinstance(item, Group))


def text_of(turns: Sequence[Message]) -> str:
    """The contents of the turns, an empty line between them."""
    return turns[0].content if len(turns) == 1 else "\n\n".join(turn.content for turn in turns)


def key_of(turns: Sequence[Message]) -> bytes:
    """8 bytes that stand for the turns: equal for equal turns, in every process."""
    digest = hashlib.blake2b(digest_size=8)
    for turn in turns:
        text = turn.content.encode(errors="surrogatepass")
        digest.update(b"%s %d " % (turn.role.encode(errors="surrogatepass"), len(text)))
        digest.update(text)
    return digest.digest()
