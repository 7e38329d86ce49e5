"""Several judgements of the same two responses to one: the majority's share as its strength."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from preftune.records import Exclusion, Group, Message, Relation
from preftune.sources.pairing import Terms

MERGED = "merged with another judgement of the pair"

Pair = tuple[tuple[Message, ...], frozenset[tuple[Message, ...]]]
"""What was judged: the prompt, and two responses in any order."""


@dataclass(slots=True)
class _Votes:
    """All judgements of two responses."""

    first: tuple[Message, ...] = ()
    """The response in whose favour votes are counted."""
    number: int = 0
    share: float = 0.0
    """Sum of the probabilities that `first` is better, a tie counting one half; by weight."""
    weight: float = 0.0
    margins: list[float] = field(default_factory=list[float])
    """How much better `first` is, where it is said."""

    def add(self, group: Group, relation: Relation) -> None:
        """Count one more judgement."""
        winner = group.responses[relation.winner].turns
        self.first = self.first or winner
        wins = 0.5 if relation.tie else relation.strength
        weight = relation.weight * group.weight
        self.number += 1
        self.share += weight * (wins if winner == self.first else 1 - wins)
        self.weight += weight
        if relation.margin is not None:
            self.margins.append(relation.margin if winner == self.first else -relation.margin)

    def merged(self, group: Group, relation: Relation) -> Relation:
        """The one judgement that they make, in a group that holds both responses."""
        sides = (relation.winner, relation.loser)
        if group.responses[relation.winner].turns != self.first:
            sides = sides[::-1]
        share = round(self.share / self.weight, 12)  # 0.1 + 0.2 + 0.7 are as much as 1
        margin = sum(self.margins) / self.number if len(self.margins) == self.number else None
        weight = self.weight / self.number / group.weight  # the pair counts as its mean judgement
        if share == 0.5:
            level = None if margin is None else 0.0
            return Relation(*sorted(sides), margin=level, tie=True, weight=weight)
        if share < 0.5:
            sides, share = sides[::-1], 1 - share
            margin = None if margin is None else -margin
        return Relation(*sides, strength=share, margin=margin, weight=weight)


def majority(groups: Sequence[Group], terms: Terms) -> Iterator[Group | Exclusion]:
    """Each two responses that were judged several times, in one row or over rows, judged once.

    The strength is the winner's share, a tie counting one half to each: (wins + ties / 2) / n.
    Evenly split votes are a tie. What was judged once stays as it is. The merged judgement stands
    where the first one stood; rows of which no judgement is left are excluded.
    """
    votes: defaultdict[Pair, _Votes] = defaultdict(_Votes)
    for group in groups:
        for relation in group.relations:
            votes[_pair(group, relation)].add(group, relation)
    done: dict[Pair, str] = {}
    for group in groups:
        kept: list[Relation] = []
        place = ""
        for relation in group.relations:
            pair = _pair(group, relation)
            found = votes[pair]
            if found.number == 1:
                kept.append(relation)
            elif pair in done:
                place = done[pair]
            else:
                done[pair] = group.source
                kept.append(found.merged(group, relation))
                _count(terms, found, kept[-1])
        if kept or not group.relations:
            yield replace(group, relations=tuple(kept))
        else:
            yield Exclusion(group.source, MERGED, f"with {place}", broken=False, expected=True)


def _pair(group: Group, relation: Relation) -> Pair:
    sides = (group.responses[side].turns for side in (relation.winner, relation.loser))
    return group.prompt, frozenset(sides)


def _count(terms: Terms, votes: _Votes, relation: Relation) -> None:
    terms.counts["merged"] += 1
    terms.counts["judgements"] += votes.number
    terms.counts["unanimous"] += relation.strength == 1 and not relation.tie
    terms.counts["even"] += relation.tie
