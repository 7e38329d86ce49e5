"""Rows that are not what an objective learns from: what to say about them."""

from preftune.errors import DataError
from preftune.objectives.bound import BoundObjective
from preftune.records import Group, Rating


def _holds(group: Group) -> str:
    """What kind of judgement a group holds: a key of `_MENDING`."""
    ratings = [response.rating or Rating() for response in group.responses]
    if group.relations:
        return "pairs"
    if any(rating.good is not None for rating in ratings):
        return "thumbs"
    if any(rating.rank is not None for rating in ratings):
        return "rankings"
    return "scores" if any(rating.score is not None for rating in ratings) else "demonstrations"


_WORDS = {
    "pairs": "a pair",
    "thumbs": "a response with a thumb",
    "rankings": "a ranking",
    "scores": "responses with ratings",
    "demonstrations": "a response without a judgement",
}
_MENDING = {
    ("rankings", "pairs"): "--convert best-versus-worst, best-versus-random or all-pairs",
    ("scores", "pairs"): "--convert best-versus-worst, best-versus-random or all-pairs",
    ("scores", "rankings"): "--convert ranks",
    ("pairs", "thumbs"): "--convert thumbs",
}
_OWN = {
    "pairs": "--objective dpo",
    "thumbs": "--objective kto or bco",
    "rankings": "--objective plackett_luce",
    "scores": "--objective infonca",
    "demonstrations": "--objective sft",
}


def misfit(group: Group, objective: BoundObjective, wanted: str) -> DataError:
    """The row holds another kind of judgement; the conversion that would help is named."""
    found = _holds(group)
    conversion = _MENDING.get((found, wanted))
    convert = f"convert it with {conversion}; or " if conversion else ""
    return DataError(
        "PT105",
        f"the row holds {_WORDS[found]}, and `{objective.name}` learns from {wanted}.",
        where=group.source,
        why="what a judgement does not say can't be learnt from it.",
        fix=f"{convert}use {_OWN[found]}, which learns from such rows.",
    )


def ignored(group: Group, name: str, what: str, column: str) -> DataError:
    """The row holds something that the objective would not heed."""
    return DataError(
        "PT105",
        f"the row has {what}, which `{name}` would ignore.",
        where=group.source,
        why="a judgement would count for more or less than the data says.",
        fix=f"leave the column `{column}` out (or, where all-pairs made it, convert to "
        "best-versus-worst), or choose another objective (`preftune objectives ls`).",
    )


def without_margin(group: Group, name: str) -> DataError:
    """The objective needs to know how much better the chosen response is."""
    return DataError(
        "PT105",
        f"the row does not say how much better its chosen response is, and `{name}` needs it.",
        where=group.source,
        why="the loss asks for a larger reward gap where the judged one is larger.",
        fix="give a column `margin`, or the scores of both responses (--map "
        "score_chosen=COLUMN,score_rejected=COLUMN).",
    )


def several(group: Group, name: str) -> DataError:
    """Responses of a row won and lost at once: they have no thumb."""
    merged = len(group.responses) == 2
    return DataError(
        "PT105",
        f"the row holds {len(group.relations)} judgements, and `{name}` takes each response as "
        "good or bad.",
        where=group.source,
        why="a response that won one comparison and lost another is neither.",
        fix="merge its judgements with --convert majority."
        if merged
        else "convert with --convert best-versus-worst or best-versus-random.",
    )
