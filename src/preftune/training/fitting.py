"""Groups as an objective takes them, if they are what it learns from.

Nothing is guessed: where another shape would have to be made of them, the message names the
conversion.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from preftune.objectives.bound import BoundObjective, Part
from preftune.objectives.declaration import Data
from preftune.records import Exclusion, Group, Rating, Relation, Response, preferred
from preftune.training.refusals import ignored, misfit, several, without_margin


@dataclass(frozen=True, slots=True)
class Fitted:
    """Groups as the objective takes them."""

    groups: list[Group]
    exclusions: list[Exclusion]
    """Well-formed groups that it can't learn from, such as ties."""
    said: list[str]
    """What was done, in sentences."""


def fit(groups: Sequence[Group], objective: BoundObjective) -> Fitted:
    """The groups as the objective takes them.

    Raises:
        DataError: they hold judgements of another kind, or lack margins; or they hold doubt or
            weights that the objective would ignore (PT105).
    """
    for part in objective.parts:
        _check_judgements(groups, part)
    # What the best response or the thumb of a pair is follows from the pair: no kind of its own.
    main, *others = sorted(objective.data, key=_MOST_TELLING.index)
    fitted = _TAKEN_AS[main](groups, objective)
    if "scores" in others:
        rated = _as_scores(fitted.groups, objective)
        said, excluded = fitted.said + rated.said, fitted.exclusions + rated.exclusions
        fitted = Fitted(rated.groups, excluded, said)
    if main == "pairs" and "thumbs" in others:
        groups_with_thumbs = [_with_thumbs(group, objective) for group in fitted.groups]
        said = "Of each pair the chosen response counts as good, the other as bad."
        fitted = Fitted(groups_with_thumbs, fitted.exclusions, [*fitted.said, said])
    return fitted


def _as_demonstrations(groups: Sequence[Group], objective: BoundObjective) -> Fitted:
    fitted = Fitted([], [], [])
    judged = 0
    for group in groups:
        own = [response.rating for response in group.responses]
        chosen = preferred(own, group.relations)
        judged += bool(group.relations) or any(own)
        if not chosen:
            fitted.exclusions.append(_left_out(group, "no response was judged good"))
            continue
        responses = tuple(group.responses[index] for index in chosen)
        fitted.groups.append(replace(group, responses=_unrated(responses), relations=()))
    if judged:
        fitted.said.append(
            f"Judged rows read as demonstrations, the best response of each: {judged:,}."
        )
    return fitted


def _as_pairs(groups: Sequence[Group], objective: BoundObjective) -> Fitted:
    fitted = Fitted([], [], [])
    positive = any(part.objective.margins == "positive" for part in objective.parts)
    for group in groups:
        if not group.relations:
            raise misfit(group, objective, "pairs")
        relations = tuple(relation for relation in group.relations if not relation.tie)
        if not relations:
            fitted.exclusions.append(_left_out(group, "tie"))
            continue
        if positive:
            relations = tuple(one for one in relations if one.margin is None or one.margin > 0)
        if relations:
            fitted.groups.append(replace(group, relations=relations))
        else:
            fitted.exclusions.append(_left_out(group, "chosen is not rated higher"))
    return fitted


def _as_ties(groups: Sequence[Group], objective: BoundObjective) -> Fitted:
    bare = next((group for group in groups if not group.relations), None)
    if bare is not None:
        raise misfit(bare, objective, "pairs")
    return Fitted(list(groups), [], [])


def _as_thumbs(groups: Sequence[Group], objective: BoundObjective) -> Fitted:
    for group in groups:
        ratings = [response.rating for response in group.responses]
        if not any(rating is not None and rating.good is not None for rating in ratings):
            raise misfit(group, objective, "thumbs")
    bare = [replace(group, relations=()) if group.relations else group for group in groups]
    ratings = [one.rating for group in groups for one in group.responses if one.rating]
    thumbs = {rating.good for rating in ratings if rating.good is not None}
    said: list[str] = []
    if len(thumbs) == 1:
        kind = "good" if True in thumbs else "bad"
        said.append(f"warning: every thumb is {kind}: nothing says what the others are like.")
    return Fitted(bare, [], said)


def _as_rankings(groups: Sequence[Group], objective: BoundObjective) -> Fitted:
    fitted = Fitted([], [], [])
    pairs = 0
    for group in groups:
        ranked = group
        if all(rank is None for rank in _ranks(group)):
            ranked = _ranked_pair(group, objective)
            pairs += 1
        ranks = _ranks(ranked)
        if len({rank for rank in ranks if rank is not None}) < 2:
            fitted.exclusions.append(_left_out(group, "all responses tie"))
        else:
            # For the figures in the log: which of any two should have the larger reward.
            fitted.groups.append(replace(ranked, relations=_order(ranks)))
    if pairs:
        fitted.said.append(f"Pairs read as rankings of two: {pairs:,}.")
    return fitted


def _as_scores(groups: Sequence[Group], objective: BoundObjective) -> Fitted:
    fitted = Fitted([], [], [])
    for group in groups:
        places = [
            None if response.rating is None or response.rating.score is None
            else -response.rating.score  # the highest comes first
            for response in group.responses
        ]  # fmt: skip
        if len(places) < 2 or any(place is None for place in places):
            raise misfit(group, objective, "scores")
        order = _order(places)
        opposite = {(relation.loser, relation.winner) for relation in order}
        judged = [relation for relation in group.relations if not relation.tie]
        if any((relation.winner, relation.loser) in opposite for relation in judged):
            fitted.exclusions.append(_left_out(group, "scores contradict the judgement"))
        else:
            fitted.groups.append(replace(group, relations=order))
    return fitted


_TAKEN_AS: dict[Data, Callable[[Sequence[Group], BoundObjective], Fitted]] = {
    "demonstrations": _as_demonstrations,
    "pairs": _as_pairs,
    "ties": _as_ties,
    "thumbs": _as_thumbs,
    "rankings": _as_rankings,
    "scores": _as_scores,
}


_MOST_TELLING: tuple[Data, ...] = (
    "pairs",
    "ties",
    "rankings",
    "scores",
    "thumbs",
    "demonstrations",
)
"""Of a mixture's kinds of data the first decides what the rows must hold."""


def _order(places: Sequence[float | None]) -> tuple[Relation, ...]:
    """Every judgement that follows from places, the lowest the best; equal ones give none."""
    return tuple(
        Relation(first, second)
        for first, high in enumerate(places)
        for second, low in enumerate(places)
        if high is not None and low is not None and high < low
    )


def _ranks(group: Group) -> list[int | None]:
    return [response.rating.rank if response.rating else None for response in group.responses]


def _ranked_pair(group: Group, objective: BoundObjective) -> Group:
    """A pair says the same as a ranking of two; more than two need a conversion."""
    if len(group.responses) != 2 or len(group.relations) != 1:
        raise misfit(group, objective, "rankings")
    relation = group.relations[0]
    ranks = [0, 0]
    if not relation.tie:
        ranks[relation.loser] = 1
    responses = tuple(
        replace(response, rating=replace(response.rating or Rating(), rank=rank))
        for response, rank in zip(group.responses, ranks, strict=True)
    )
    return replace(group, responses=responses)


def _with_thumbs(group: Group, objective: BoundObjective) -> Group:
    relation, *more = group.relations
    if more:
        raise several(group, objective.name)
    responses = tuple(
        replace(
            response, rating=replace(response.rating or Rating(), good=index == relation.winner)
        )
        for index, response in enumerate(group.responses)
    )
    return replace(group, responses=responses)


def _unrated(responses: Sequence[Response]) -> tuple[Response, ...]:
    return tuple(replace(response, rating=None) for response in responses)


def _check_judgements(groups: Sequence[Group], part: Part) -> None:
    """Doubt, weights and margins: what the objective would ignore, and what it can't do without."""
    objective = part.objective
    if objective.data == "demonstrations":  # it takes the better response, and says so
        return
    for group in groups:
        for relation in group.relations:
            if relation.strength != 1 and not relation.tie and not objective.soft:
                raise ignored(group, objective.name, "a strength below 1", "strength")
            if relation.weight * group.weight != 1 and not objective.weighted:
                raise ignored(group, objective.name, "a weight", "weight")
            if objective.margins != "no" and relation.margin is None and not relation.tie:
                raise without_margin(group, objective.name)


def _left_out(group: Group, reason: str) -> Exclusion:
    return Exclusion(group.source, reason, broken=False)
