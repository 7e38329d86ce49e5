"""Judgements said in another way: pairs as thumbs, ratings as rankings."""

from dataclasses import replace

from preftune.records import Group, Rating, Response
from preftune.sources.pairing import ALL_EQUAL, TOO_FEW, Terms
from preftune.sources.rows import RowError

BARE = "no pair"
TIE = "tie"
MIXED = "every response both won and lost"


def thumbs(group: Group, terms: Terms) -> Group:
    """Winners are good and losers bad; a response that did both says nothing.

    Raises:
        RowError: the group holds no pair, or only ties.
    """
    if not group.relations:
        raise RowError(BARE)
    judged = [relation for relation in group.relations if not relation.tie]
    if not judged:
        raise RowError(TIE, "neither response is better")
    won = {relation.winner for relation in judged}
    lost = {relation.loser for relation in judged}
    clear = sorted(won ^ lost)
    if not clear:
        raise RowError(MIXED)
    terms.counts["good"] += sum(index in won for index in clear)
    terms.counts["bad"] += sum(index in lost for index in clear)
    terms.counts["left"] += len(group.responses) - len(clear)
    terms.counts["doubtful"] += sum(relation.strength < 1 for relation in judged)
    return replace(
        group,
        responses=tuple(_with_thumb(group.responses[index], index in won) for index in clear),
        relations=(),
        weight=group.weight * sum(relation.weight for relation in judged),
    )


def ranks(group: Group, terms: Terms) -> Group:
    """Places by score, 0 the best; equal scores share a place.

    Raises:
        RowError: fewer than two responses are rated, or all are rated equal.
    """
    scores = [response.rating.score if response.rating else None for response in group.responses]
    known = [score for score in scores if score is not None]
    if len(known) < 2:
        raise RowError(TOO_FEW, f"{len(known)} of {len(scores)}")
    order = {score: place for place, score in enumerate(sorted(set(known), reverse=True))}
    if len(order) < 2:
        raise RowError(ALL_EQUAL, f"{len(known)} equal scores")
    terms.counts["shared"] += len(order) < len(known)
    terms.counts["left"] += len(scores) - len(known)
    responses = tuple(
        replace(response, rating=replace(response.rating or Rating(), rank=order[score]))
        for response, score in zip(group.responses, scores, strict=True)
        if score is not None
    )
    return replace(group, responses=responses)


def _with_thumb(response: Response, good: bool) -> Response:
    return replace(response, rating=replace(response.rating or Rating(), good=good))
