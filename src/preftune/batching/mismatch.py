"""Prompts with the response of another prompt: where KTO measures how far the policy has moved."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from preftune.errors import DataError
from preftune.records import TokenGroup, TokenResponse


def with_mismatched(groups: Sequence[TokenGroup], *, seed: int, limit: int) -> list[TokenGroup]:
    """Every group with one more response at its end: one of a group with another prompt.

    Which one depends on the seed and the data alone, so a step holds the same tokens however it
    is cut, and the reference's log-probs of it are in the cache. The response is cut where prompt
    and response would be over the limit.

    Args:
        groups: Groups to learn from; of each one response, good or bad by lot, is lent.
        seed: Of the shuffling and of the lots.
        limit: Most tokens of prompt and response together.

    Raises:
        DataError: all prompts are the same (PT106).
    """
    draw = np.random.Generator(np.random.PCG64(seed))
    order: list[int] = draw.permutation(len(groups)).tolist()
    lots: list[float] = draw.random(len(groups)).tolist()
    prompts = [group.prompt_ids.tobytes() for group in groups]
    lenders = _next_with_another_prompt([prompts[index] for index in order])
    found = list(groups)
    for place, lender in enumerate(lenders):
        group, other = groups[order[place]], groups[order[lender]].responses
        lent = other[int(lots[place] * len(other))]
        room = max(1, limit - len(group.prompt_ids))
        response = TokenResponse(lent.ids[:room], lent.trained[:room], mismatched=True)
        found[order[place]] = replace(group, responses=(*group.responses, response))
    return found


def _next_with_another_prompt(prompts: Sequence[bytes]) -> list[int]:
    """For each place the next one, going round, that holds another prompt."""
    count = len(prompts)
    changes = [place for place in range(count) if prompts[place] != prompts[place - 1]]
    if not changes:
        raise DataError(
            "PT106",
            f"all {count:,} rows have the same prompt.",
            why="this objective measures how far the policy has moved on responses to other "
            "prompts, and there are none.",
            fix="add rows with other prompts, or choose an objective that does not need them "
            "(`preftune objectives ls`).",
        )
    found = [0] * count
    following = changes[0]
    for place in reversed(range(count)):
        found[place] = following
        if prompts[place] != prompts[place - 1]:
            following = place
    return found
