"""The unit of preference data: a prompt, its responses and what was judged of them."""

from collections.abc import Mapping
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
class Response:
    """One answer to the prompt: mostly a single assistant turn.

    Later user and tool turns are context; every assistant turn is trained.
    """

    turns: tuple[Message, ...]
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Relation:
    """One judgement: of two responses, given by index, `winner` is preferred."""

    winner: int
    loser: int
    strength: float = 1.0
    """Probability that `winner` is better, in (0.5, 1]; 1 when the judge gave no doubt."""
    margin: float | None = None
    """How much better, in the judge's units; none where it did not say."""


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
    metadata: Mapping[str, object] = field(default_factory=dict[str, object])
