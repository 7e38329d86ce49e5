"""What was judged in a batch, as tensors: only what the data holds."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from preftune.objectives.logprobs import members_of
from preftune.records import Rating, Relation, TokenGroup, TokenResponse, preferred

_UNRATED = Rating()


def judgements_of(groups: Sequence[TokenGroup]) -> dict[str, Tensor]:
    """Relations, ratings and weights of the groups, by the names that `LogProbs` has for them.

    Example:
        >>> import numpy as np
        >>> side = TokenResponse(np.ones(1, np.int32), np.ones(1, bool))
        >>> pair = TokenGroup(np.ones(1, np.int32), (side, side), (Relation(1, 0),))
        >>> {name: one.tolist() for name, one in judgements_of([pair]).items()}
        {'members': [[0, 1]], 'winner': [1], 'loser': [0], 'preferred': [False, True]}
    """
    own = [_own(group) for group in groups]
    found = {"members": members_of([len(responses) for responses in own], _gaps(groups))}
    found |= _of_relations(groups)
    found |= _of_responses(groups)
    if any(group.weight != 1 for group in groups):
        found["group_weight"] = torch.tensor([group.weight for group in groups])
    return found


def _own(group: TokenGroup) -> list[TokenResponse]:
    return [response for response in group.responses if not response.mismatched]


def _gaps(groups: Sequence[TokenGroup]) -> list[int]:
    """Responses of other prompts at the end of each group: they are no members of it."""
    return [len(group.responses) - len(_own(group)) for group in groups]


def _of_relations(groups: Sequence[TokenGroup]) -> dict[str, Tensor]:
    rows = list(_relations(groups))
    found = {
        "winner": torch.tensor([first + one.winner for first, one, _ in rows], dtype=torch.int64),
        "loser": torch.tensor([first + one.loser for first, one, _ in rows], dtype=torch.int64),
    }
    judged = [one for _, one, _ in rows]
    if any(one.strength != 1 for one in judged):
        found["strength"] = torch.tensor([one.strength for one in judged])
    if any(one.weight * group.weight != 1 for _, one, group in rows):
        found["weight"] = torch.tensor([one.weight * group.weight for _, one, group in rows])
    if any(one.margin is not None for one in judged):
        margins = [math.nan if one.margin is None else one.margin for one in judged]
        found["margin"] = torch.tensor(margins)
    if any(one.tie for one in judged):
        found["tie"] = torch.tensor([one.tie for one in judged])
    return found


def _relations(groups: Sequence[TokenGroup]) -> Iterator[tuple[int, Relation, TokenGroup]]:
    first = 0
    for group in groups:
        for relation in group.relations:
            yield first, relation, group
        first += len(group.responses)


def _of_responses(groups: Sequence[TokenGroup]) -> dict[str, Tensor]:
    responses = [response for group in groups for response in group.responses]
    ratings = [response.rating or _UNRATED for response in responses]
    found: dict[str, Tensor] = {}
    if any(rating.good is not None for rating in ratings):
        thumbs = [0.0 if one.good is None else (1.0 if one.good else -1.0) for one in ratings]
        found["good"] = torch.tensor(thumbs)
    if any(rating.score is not None for rating in ratings):
        scores = [math.nan if one.score is None else one.score for one in ratings]
        found["score"] = torch.tensor(scores)
    if any(rating.rank is not None for rating in ratings):
        ranks = [-1 if one.rank is None else one.rank for one in ratings]
        found["rank"] = torch.tensor(ranks)
    if any(response.mismatched for response in responses):
        found["mismatched"] = torch.tensor([response.mismatched for response in responses])
    examples = [_examples(group) for group in groups]
    stands = [
        index in chosen
        for group, chosen in zip(groups, examples, strict=True)
        for index in range(len(group.responses))
    ]
    if not all(stands):
        found["preferred"] = torch.tensor(stands)
    return found


def _examples(group: TokenGroup) -> tuple[int, ...]:
    """Indices of the responses that SFT learns from."""
    return preferred([response.rating for response in _own(group)], group.relations)
