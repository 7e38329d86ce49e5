"""Every judgement of two responses, in a few bytes each: who chose what, and what it looked like.

Two responses to a prompt are one unit, in whichever order and in however many rows they stand.
"""

import hashlib
from array import array
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from preftune.checks.cases import Case
from preftune.records import Relation

Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

TIE = 2
"""Label of a judgement that prefers neither; 0 and 1 are the two responses."""
_FLIPPED, _SHOWN, _LONGER = 2, 3, 4  # where the bits of a judgement's flags begin
_EQUAL = 2


@dataclass(frozen=True, slots=True)
class Votes:
    """All judgements, one per annotator and unit, as columns of shape (judgement,)."""

    names: list[str]
    """Annotators by number; the first is nobody: the data does not say who judged."""
    units: Integers
    """Number of the two responses that were judged."""
    labels: Integers
    """Which of the unit's two responses was preferred, or `TIE`: the same in every row."""
    firsts: Integers
    """Which of them was shown first; -1 where the order in the row was not that of showing."""
    longers: Integers
    """Which of them is longer in characters; -1 where both are equally long."""
    annotators: Integers
    rows: Integers
    prompts: Integers


@dataclass(slots=True)
class VoteBox:
    """What is kept of each judgement: 21 bytes."""

    several: bool = False
    """Whether a row held several judgements of the same responses."""
    _numbers: dict[str, int] = field(default_factory=lambda: {"": 0})
    _keys: "array[int]" = field(default_factory=lambda: array("q"))
    _rows: "array[int]" = field(default_factory=lambda: array("i"))
    _prompts: "array[int]" = field(default_factory=lambda: array("i"))
    _annotators: "array[int]" = field(default_factory=lambda: array("i"))
    _flags: "array[int]" = field(default_factory=lambda: array("B"))

    @property
    def named(self) -> bool:
        """Whether any judgement says who made it."""
        return len(self._numbers) > 1

    def see(self, case: Case) -> None:
        """Take in the judgements of a row."""
        relations = case.group.relations
        for relation in relations:
            number = self._numbers.setdefault(relation.annotator, len(self._numbers))
            first, second = sorted((relation.winner, relation.loser))
            keys = (case.response_keys[first], case.response_keys[second])
            self._keys.append(_key(case.prompt_key, *sorted(keys)))
            self._rows.append(case.index)
            self._prompts.append(case.prompt_number)
            self._annotators.append(number)
            self._flags.append(_flags(case, relation, first, keys[0] > keys[1]))
        if len(relations) > 1 and not self.several:
            places = Counter(frozenset((one.winner, one.loser)) for one in relations)
            self.several = max(places.values()) > 1

    def votes(self) -> Votes:
        """All judgements. An annotator who judged a unit again counts with the first judgement."""
        keys = np.frombuffer(self._keys, np.int64)
        annotators = np.frombuffer(self._annotators, np.int32).astype(np.int64)
        kept = _first_of_each(keys, annotators)
        flags = np.frombuffer(self._flags, np.uint8)[kept].astype(np.int64)
        vote, longer = flags & 3, flags >> _LONGER
        flipped = (flags >> _FLIPPED) & 1
        return Votes(
            names=list(self._numbers),
            units=np.unique(keys[kept], return_inverse=True)[1].astype(np.int64),
            labels=np.where(vote == TIE, TIE, vote ^ flipped),
            firsts=np.where((flags >> _SHOWN) & 1, flipped, -1),
            longers=np.where(longer == _EQUAL, -1, longer ^ flipped),
            annotators=annotators[kept],
            rows=np.frombuffer(self._rows, np.int32)[kept].astype(np.int64),
            prompts=np.frombuffer(self._prompts, np.int32)[kept].astype(np.int64),
        )


def _first_of_each(keys: Integers, annotators: Integers) -> Integers:
    """Indices of the first judgement of each named annotator and unit, and of all unnamed ones."""
    order = np.lexsort((annotators, keys))  # stable: equal ones stay in file order
    again = np.zeros(len(order), np.bool_)
    same = (keys[order][1:] == keys[order][:-1]) & (annotators[order][1:] == annotators[order][:-1])
    again[order[1:]] = same & (annotators[order][1:] > 0)
    return np.flatnonzero(~again)


def _key(prompt: bytes, one: bytes, other: bytes) -> int:
    digest = hashlib.blake2b(prompt + one + other, digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _flags(case: Case, relation: Relation, first: int, flipped: bool) -> int:
    """A judgement's label, order and lengths, by place in the row, in six bits."""
    vote = TIE if relation.tie else int(relation.winner != first)
    second = relation.winner + relation.loser - first
    difference = len(case.responses[second]) - len(case.responses[first])
    longer = _EQUAL if difference == 0 else int(difference > 0)
    return vote | flipped << _FLIPPED | case.group.shown << _SHOWN | longer << _LONGER
