"""The unit of preference data: a prompt, its responses and what was judged of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Form = Literal["chat", "text"]
"""How a row was written: as messages with roles, or as plain text that is only continued."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: str
    """`system`, `user`, `assistant` or `tool`."""
    content: str


@dataclass(frozen=True, slots=True)
class Rating:
    """What was said of one response by itself, or of its place among the others."""

    good: bool | None = None
    """Thumb: up or down; none where nobody gave one."""
    score: float | None = None
    """Rating, higher is better, in the judge's units."""
    rank: int | None = None
    """Place in a ranking, 0 the best; responses of equal rank are tied."""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer to the prompt: mostly a single assistant turn.

    Later user and tool turns are context; every assistant turn is trained.
    """

    turns: tuple[Message, ...]
    rating: Rating | None = None
    """What was said of it alone; none where it was only compared with others."""


@dataclass(frozen=True, slots=True)
class Relation:
    """One judgement: of two responses, given by index, `winner` is preferred, unless they tie."""

    winner: int
    loser: int
    strength: float = 1.0
    """Probability that `winner` is better, in (0.5, 1]; 1 when the judge gave no doubt."""
    margin: float | None = None
    """How much better, in the judge's units; none where it did not say."""
    tie: bool = False
    """Rating equally good: neither wins, and only objectives made for ties may learn from it."""
    weight: float = 1.0
    """What it counts beside the group's other relations, > 0."""
    annotator: str = ""
    """Who judged, where the data names its annotators."""


@dataclass(frozen=True, slots=True)
class Group:
    """A prompt, its K responses (K >= 1) and the relations between them. A pair is K = 2."""

    prompt: tuple[Message, ...]
    """Shared turns. For `form == "text"`: one user message holding the text to continue."""
    responses: tuple[Response, ...]
    relations: tuple[Relation, ...] = ()
    source: str = ""
    """Where it came from, as `file:line`; every message about the group quotes it."""
    form: Form = "chat"
    weight: float = 1.0
    """What the group counts in the loss, > 0."""
    shown: bool = False
    """Whether the responses stand in the order in which they were shown to the judge, so that
    their place may have played a part. Rows with a chosen and a rejected side have no such order.
    """
    metadata: Mapping[str, object] = field(default_factory=dict[str, object])


def preferred(ratings: Sequence[Rating | None], relations: Sequence[Relation]) -> tuple[int, ...]:
    """The responses of a group that stand as good examples: what SFT learns from.

    Those that won and never lost; without relations those with thumbs up, else the best by rank,
    else the best by score; all of them where nothing was judged.

    >>> preferred([None, None, None], [Relation(2, 0), Relation(0, 1)])
    (2,)
    """
    if relations:
        won = {relation.winner for relation in relations if not relation.tie}
        lost = {relation.loser for relation in relations if not relation.tie}
        return tuple(sorted(won - lost))
    known = [rating or Rating() for rating in ratings]
    if any(rating.good is not None for rating in known):
        return tuple(index for index, rating in enumerate(known) if rating.good)
    order = [rating.rank for rating in known]
    if all(rank is None for rank in order):
        order = [None if rating.score is None else -rating.score for rating in known]
    places = [place for place in order if place is not None]
    return tuple(index for index, place in enumerate(order) if not places or place == min(places))
