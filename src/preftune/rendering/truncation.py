"""Groups over the token limit, and groups that say nothing: left out or cut, always counted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from preftune.records import Rating, TokenGroup, TokenResponse

Policy = Literal["drop", "prompt-left", "response"]
POLICIES: tuple[Policy, ...] = ("drop", "prompt-left", "response")

PROMPT_CUT = "prompt cut on the left"
RESPONSE_CUT = "response cut"
END_CUT = "end of a response cut"
JUDGEMENT_DROPPED = "judgement between identical responses dropped"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A group within the limit, or why it is not used."""

    group: TokenGroup | None
    reason: str = ""
    """Short and countable; empty where the group is used."""
    cuts: tuple[str, ...] = ()
    """What was done to it, once for each time."""


def distinct(group: TokenGroup, when: str) -> Fitted:
    """The group without judgements between identical responses; not used if none is left.

    Responses that are the same tokens and are rated differently would be pushed both ways: then
    the group is not used. Copies rated alike say nothing false and stay.

    Args:
        group: The group.
        when: `rendering` or `truncation`, for the reason.
    """
    if any(not response.trained.any() for response in group.responses):
        return Fitted(None, "nothing to train")
    if _contradictory(group.responses):
        return Fitted(None, f"identical after {when}")
    kept = tuple(
        relation
        for relation in group.relations
        if not _same(group.responses[relation.winner], group.responses[relation.loser])
    )
    dropped = len(group.relations) - len(kept)
    if dropped and not kept:
        return Fitted(None, f"identical after {when}")
    return Fitted(replace(group, relations=kept), cuts=(JUDGEMENT_DROPPED,) * dropped)


def fit(group: TokenGroup, *, limit: int, policy: Policy, keep: int) -> Fitted:
    """The group within `limit` tokens: its prompt and its longest response.

    Every response of a group is treated alike: the prompt, which they share, is cut on the left
    after its first `keep` tokens (BOS), or all responses are cut to the same number of tokens.

    Args:
        group: The group.
        limit: Tokens of the prompt and the longest response, together.
        policy: What to do with a group over the limit.
        keep: Tokens at the start of the prompt that are never cut.
    """
    lengths = [len(response.ids) for response in group.responses]
    excess = len(group.prompt_ids) + max(lengths, default=0) - limit
    if excess <= 0:
        return Fitted(group)
    if policy == "prompt-left":
        if len(group.prompt_ids) - excess <= keep:
            return Fitted(None, f"response over {limit:,} tokens")
        prompt = np.concatenate([group.prompt_ids[:keep], group.prompt_ids[keep + excess :]])
        return Fitted(replace(group, prompt_ids=prompt), cuts=(PROMPT_CUT,))
    if policy == "response":
        room = limit - len(group.prompt_ids)
        if room < 1:
            return Fitted(None, f"prompt over {limit:,} tokens")
        return _cut_responses(group, room, lengths)
    return Fitted(None, f"over {limit:,} tokens")


def _cut_responses(group: TokenGroup, room: int, lengths: Sequence[int]) -> Fitted:
    cut = tuple(
        replace(response, ids=response.ids[:room], trained=response.trained[:room])
        for response in group.responses
    )
    ends = sum(length > room for length in lengths)
    fitted = distinct(replace(group, responses=cut), "truncation")
    if fitted.group is None:
        return fitted
    return replace(fitted, cuts=(RESPONSE_CUT, *(END_CUT,) * ends, *fitted.cuts))


def _contradictory(responses: Sequence[TokenResponse]) -> bool:
    """Whether two identical responses are rated differently."""
    seen: dict[tuple[bytes, bytes], Rating] = {}
    return any(
        seen.setdefault((one.ids.tobytes(), one.trained.tobytes()), one.rating) != one.rating
        for one in responses
        if one.rating is not None
    )


def _same(one: TokenResponse, other: TokenResponse) -> bool:
    return np.array_equal(one.ids, other.ids) and np.array_equal(one.trained, other.trained)
