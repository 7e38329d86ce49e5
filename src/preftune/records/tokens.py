"""A group in token space."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from preftune.records.groups import Rating, Relation

Ids = NDArray[np.int32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class TokenResponse:
    """The tokens of one response, after the prompt."""

    ids: Ids
    trained: Mask
    """True where the token is trained; later user and tool turns are context."""
    rating: Rating | None = None
    """As in `Response`."""
    mismatched: bool = False
    """It answers another prompt, and is only there to measure how far the policy has moved
    where the data says nothing (KTO): never trained, and in no relation."""

    def __post_init__(self) -> None:
        assert self.ids.shape == self.trained.shape and self.ids.ndim == 1


@dataclass(frozen=True, slots=True, eq=False)
class TokenGroup:
    """A prompt's tokens, shared by all its responses, and the relations between them."""

    prompt_ids: Ids
    """At least one token: something must predict the first response token."""
    responses: tuple[TokenResponse, ...]
    relations: tuple[Relation, ...] = ()
    source: str = ""
    weight: float = 1.0
    metadata: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def length(self) -> int:
        """Number of tokens laid out: the prompt once, then every response."""
        return len(self.prompt_ids) + sum(len(response.ids) for response in self.responses)
