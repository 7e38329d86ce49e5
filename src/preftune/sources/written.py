"""What the rows of one file must hold so that all its groups can be read from them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from preftune.errors import DataError
from preftune.records import Group, Rating, Relation
from preftune.sources import judgements, lists, verdicts
from preftune.sources.columns import PAIR
from preftune.sources.streaming import SAMPLE

Kind = Literal["pair", "comparison", "response", "list"]

_BARE = Rating()
_SCORES = {name for pair in judgements.SPELLINGS for name in pair}
_RESPONSES = set(lists.SPELLINGS["responses"])
_FIRST_SIDES = {first for first, _ in verdicts.SPELLINGS}
_JUDGED = {"strength", "margin", "tie", "is_tie", "status", *_SCORES}
_TAKEN = {
    "pair": {"system", "weight", *PAIR, *_JUDGED, *verdicts.ANNOTATORS},
    "comparison": {"system", "weight", *PAIR, *verdicts.SIDES, *verdicts.VERDICTS}
    | {*verdicts.JUDGES},
    "response": {"system", "label", "messages", "conversations", "completion"}
    | {*PAIR, *_RESPONSES, *_FIRST_SIDES},
    "list": {"system", "weight", *PAIR, *_RESPONSES, *_FIRST_SIDES}
    | {*lists.SPELLINGS["scores"], *lists.SPELLINGS["ranks"]},
}
"""Names that would be read as more than metadata beside the columns of each kind."""


@dataclass(slots=True)
class Needs:
    """What the groups of one file need columns for, together: a row alone can't say it, because
    a column that some rows lack makes these rows broken.
    """

    kind: Kind | None = None
    chat: bool = False
    """Some are conversations."""
    text: bool = False
    """Some are texts to continue."""
    plain: bool = False
    """Among the first texts, by which the layout is found, one's responses don't repeat it."""
    labels: bool = False
    ranks: bool = False
    scores: bool = False
    margin: bool = False
    strength: bool = False
    tie: bool = False
    weight: bool = False
    annotators: set[str] = field(default_factory=set[str])
    """Who judged, where the judgements say so."""
    several: bool = False
    """Some rows hold judgements of several annotators: each has a column of his own."""
    seen: int = 0
    _taken: set[str] = field(default_factory=lambda: {"prompt"})

    def is_taken(self, name: str) -> bool:
        """Whether a metadata column of this name would be read as more."""
        return name in self._taken or (self.several and _is_numbered(name))

    def see(self, group: Group) -> None:
        """Take in one more group.

        Raises:
            DataError: PT108, it is of another kind than those before, or no layout holds it.
        """
        kind = kind_of(group)
        if self.kind not in (None, kind):
            raise unwritable(group, f"it is a {kind}, and those before it are {self.kind}s")
        if self.kind is None:
            self.kind = kind
            self._taken |= _TAKEN[kind]
        if self.seen < SAMPLE and group.form == "text":
            self.plain = self.plain or not _all_repeat(group)
        self.seen += 1
        self.chat = self.chat or group.form == "chat"
        self.text = self.text or group.form == "text"
        if group.weight != 1 and not self.weight:
            self.weight = True
            self._taken.add("weight")
        self._see_ratings(group)
        self.several = self.several or len(group.relations) > 1
        for relation in group.relations:
            self._see_relation(relation, group)

    def _see_ratings(self, group: Group) -> None:
        for response in group.responses:
            rating = response.rating or _BARE
            if rating.good is not None and not self.labels:
                self.labels = True
                self._taken.add("weight")
            self.ranks = self.ranks or rating.rank is not None
            self.scores = self.scores or rating.score is not None

    def _see_relation(self, relation: Relation, group: Group) -> None:
        if relation.annotator:
            self.annotators.add(relation.annotator)
        self.strength = self.strength or relation.strength != 1
        difference = difference_of(group, relation)
        self.tie = self.tie or relation.tie or difference == 0
        implied = None if difference is None else 0.0 if relation.tie else difference
        self.margin = self.margin or relation.margin != implied

    @property
    def columns(self) -> list[str]:
        """The columns of the annotators, where each has one."""
        return sorted(self.annotators, key=lambda name: (len(name), name))

    @property
    def repeated(self) -> bool:
        """Whether responses are written after their prompt: all of the first ones begin with it
        anyway, or only some rows have a system's text.
        """
        return self.text and self.kind != "list" and (self.chat or not self.plain)


def needs_of(groups: Iterable[Group]) -> Needs:
    """What these groups need, together."""
    needs = Needs()
    for group in groups:
        needs.see(group)
    return needs


def kind_of(group: Group) -> Kind:
    """What a group is: a pair, a single response, or several judged ones.

    Raises:
        DataError: PT108, it is none of them.
    """
    if group.relations:
        return _kind_of_judged(group)
    ratings = [response.rating or _BARE for response in group.responses]
    if len(ratings) == 1 and ratings[0] in (_BARE, Rating(good=True), Rating(good=False)):
        return "response"
    scored = [rating.score is not None for rating in ratings]
    ranked = [rating.rank is not None for rating in ratings]
    if len(ratings) > 1 and (all(scored) or (all(ranked) and not any(scored))):
        return "list"
    raise unwritable(group, "what was said of its responses fits no layout")


def _kind_of_judged(group: Group) -> Kind:
    if len(group.responses) != 2:
        raise unwritable(group, "it has judgements of two responses among several")
    if any(relation.weight != 1 for relation in group.relations):
        raise unwritable(group, "a judgement of it has a weight of its own")
    if not group.shown:
        if len(group.relations) > 1:
            raise unwritable(group, f"it has {len(group.relations)} judgements, a row holds one")
        return "pair"
    names = [relation.annotator for relation in group.relations]
    if len(names) > 1 and (len({*names}) < len(names) or not all(map(_is_numbered, names))):
        raise unwritable(group, f"judgements of {', '.join(map(repr, names))} fit no columns")
    return "comparison"


def _is_numbered(name: str) -> bool:
    return verdicts.NUMBERED.fullmatch(name) is not None


def difference_of(group: Group, relation: Relation) -> float | None:
    """How much higher the winner is rated; none where one of the two is not."""
    won, lost = (
        group.responses[side].rating or _BARE for side in (relation.winner, relation.loser)
    )
    return None if won.score is None or lost.score is None else won.score - lost.score


def _all_repeat(group: Group) -> bool:
    text = group.prompt[0].content
    return all(response.turns[0].content.startswith(text) for response in group.responses)


def unwritable(group: Group, problem: str) -> DataError:
    """The error for a group that no layout holds."""
    return DataError(
        "PT108",
        f"the row can't be written: {problem}",
        why="read back it would be another row, or none.",
        fix="write rows of each kind to a file of their own.",
        where=group.source or None,
    )
