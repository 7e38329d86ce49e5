"""What the sum of an objective's losses is divided by: counted from the data, before the model."""

from collections.abc import Sequence

from preftune.objectives.bound import BoundObjective
from preftune.objectives.declaration import Objective
from preftune.records import TokenGroup, preferred


def denominators(objective: BoundObjective, groups: Sequence[TokenGroup]) -> list[float]:
    """For each part of the objective its count over the whole optimiser step.

    Counts are sums of the data's weights, so weighing all rows alike changes nothing.
    """
    return [_denominator(part.objective, groups) for part in objective.parts]


def _denominator(objective: Objective, groups: Sequence[TokenGroup]) -> float:
    match objective.denominator:
        case "pairs":
            return sum(
                group.weight * relation.weight for group in groups for relation in group.relations
            )
        case "prompts":
            return sum(group.weight for group in groups)
        case "responses":
            return sum(group.weight * _thumbs(group) for group in groups)
        case "tokens":
            return sum(group.weight * _preferred_tokens(group) for group in groups)


def _thumbs(group: TokenGroup) -> int:
    ratings = (response.rating for response in group.responses)
    return sum(rating is not None and rating.good is not None for rating in ratings)


def _preferred_tokens(group: TokenGroup) -> int:
    own = [response for response in group.responses if not response.mismatched]
    chosen = preferred([response.rating for response in own], group.relations)
    return sum(int(own[index].trained.sum()) for index in chosen)
