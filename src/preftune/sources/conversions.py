"""Conversions between the shapes of preference data: asked for by name, and counted.

No conversion invents a judgement: each pair, thumb and place follows from what the data says of
the two responses, and ties never become pairs.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from preftune.errors import ConfigError, DataError
from preftune.records import Exclusion, Group, Intake, Rating
from preftune.sources.majority import majority
from preftune.sources.pairing import Terms, all_pairs, best_versus_random, best_versus_worst
from preftune.sources.relabelling import ranks, thumbs
from preftune.sources.rows import RowError

Data = Literal["pairs", "ties", "thumbs", "rankings"]
Made = Iterator[Group | Exclusion]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion does with the groups of a file."""

    line: str
    """What it makes of what, in a line."""
    makes: tuple[Data, ...]
    """The kinds of judgement that come out of it."""
    of: Literal["pairs", "ratings", "scores"]
    """What the data must hold: ratings are scores or ranks."""
    make: Callable[[Sequence[Group], Terms], Made]
    gap: bool = False
    """Whether a smallest gap between two scores means something to it."""


def _each(convert_one: Callable[[Group, Terms], Group]) -> Callable[[Sequence[Group], Terms], Made]:
    """A conversion that looks at one group at a time."""

    def make(groups: Sequence[Group], terms: Terms) -> Made:
        for group in groups:
            try:
                yield convert_one(group, terms)
            except RowError as reason:
                yield Exclusion(group.source, reason.reason, reason.detail, broken=False)

    return make


CONVERSIONS: Mapping[str, Conversion] = {
    "best-versus-worst": Conversion(
        "ratings or rankings to pairs: the best and the worst response",
        ("pairs",),
        "ratings",
        _each(best_versus_worst),
        gap=True,
    ),
    "best-versus-random": Conversion(
        "ratings or rankings to pairs: the best and one of the worse, by lot",
        ("pairs",),
        "ratings",
        _each(best_versus_random),
        gap=True,
    ),
    "all-pairs": Conversion(
        "ratings or rankings to pairs: every two unequal responses, each prompt counting once",
        ("pairs",),
        "ratings",
        _each(all_pairs),
        gap=True,
    ),
    "majority": Conversion(
        "several judgements of a pair to one: the majority's share as its strength",
        ("pairs", "ties"),
        "pairs",
        majority,
    ),
    "thumbs": Conversion(
        "pairs to thumbs: the chosen response is good, the rejected bad",
        ("thumbs",),
        "pairs",
        _each(thumbs),
    ),
    "ranks": Conversion(
        "ratings to rankings: equal scores share a place",
        ("rankings",),
        "scores",
        _each(ranks),
    ),
}
"""Each by its name."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What a conversion made."""

    groups: list[Group]
    intake: Intake
    """The account, with the groups of which nothing could be made, by reason."""
    sentence: str
    """What was done and how often, to announce."""


def convert(
    groups: Sequence[Group],
    intake: Intake,
    name: str,
    *,
    minimum_gap: float = 0.0,
    seed: int = 0,
) -> Converted:
    """Make pairs, thumbs or rankings of the judgements that the groups hold.

    Ratings stay on the responses, so objectives that read scores work on what comes out.

    Args:
        groups: As `read` gives them.
        intake: Their account, which is continued.
        name: One of `CONVERSIONS`.
        minimum_gap: Smallest difference of two scores that makes a pair, >= 0.
        seed: Of the lots in `best-versus-random` and among equals, in [0, 2^64).

    Raises:
        ConfigError: PT301, the name is unknown, or the data does not hold what it converts, or an
            option would have no effect.
        DataError: PT106, nothing is left.

    Example:
        >>> from preftune.records import Message, Relation, Response
        >>> def answer(text, score):
        ...     return Response((Message("assistant", text),), Rating(score=score))
        >>> four = Group((Message("user", "Red?"),), (answer("No", 2.0), answer("Yes", 9.0)))
        >>> done = convert([four], Intake(1, 1), "best-versus-worst")
        >>> done.groups[0].relations == (Relation(winner=1, loser=0, margin=7.0),)
        True
        >>> done.sentence
        'best-versus-worst: 1 pair from 1 prompt.'
    """
    _check(groups, name, minimum_gap)
    terms = Terms(minimum_gap, seed)
    made: list[Group] = []
    left: list[Exclusion] = []
    for item in CONVERSIONS[name].make(groups, terms):
        if isinstance(item, Group):
            made.append(item)
        else:
            left.append(item)
    after = intake.then(left)
    if not made:
        raise DataError(
            "PT106",
            f"{name} leaves no row: {after.summary()}.",
            why="there is nothing to train on.",
            fix="choose another conversion"
            + (", or a smaller data.minimum_gap." if minimum_gap else "."),
        )
    return Converted(made, after, _sentence(name, made, left, terms))


def _check(groups: Sequence[Group], name: str, minimum_gap: float) -> None:
    """Refuse names that are none, and gaps that are none or would do nothing."""
    check_name(name)
    if not (math.isfinite(minimum_gap) and minimum_gap >= 0):
        raise _refused(f"a minimum gap of {minimum_gap} is no gap", "give 0 or more.")
    if minimum_gap and not CONVERSIONS[name].gap:
        raise _refused(
            f"`{name}` makes no pairs of scores, so a minimum gap has no effect",
            "leave data.minimum_gap out.",
        )
    _check_data(groups, name, minimum_gap)


def check_name(name: str) -> None:
    """Refuse a name that is no conversion's.

    Raises:
        ConfigError: PT301, with what there is.
    """
    if name not in CONVERSIONS:
        close = get_close_matches(name, CONVERSIONS, n=1)
        guess = f"did you mean `{close[0]}`? " if close else ""
        listed = "; ".join(f"`{known}` ({what.line})" for known, what in CONVERSIONS.items())
        raise _refused(f"there is no conversion `{name}`", f"{guess}Known: {listed}.")


def _check_data(groups: Sequence[Group], name: str, minimum_gap: float) -> None:
    """Refuse data that does not hold what the conversion is made of."""
    ratings = [one.rating or Rating() for group in groups for one in group.responses]
    scored = any(rating.score is not None for rating in ratings)
    ranked = any(rating.rank is not None for rating in ratings)
    paired = any(group.relations for group in groups)
    of = CONVERSIONS[name].of
    if of == "pairs":
        if not paired:
            raise _refused(f"`{name}` is made of pairs, and the data holds none", _OTHER)
    elif paired:
        raise _refused(f"`{name}` is made of ratings, and the data holds pairs already", _OTHER)
    elif not scored and (of == "scores" or not ranked):
        what = "scores" if of == "scores" else "scores or ranks"
        raise _refused(f"`{name}` is made of {what}, and the data holds none", _OTHER)
    elif minimum_gap and not scored:
        raise _refused(
            "a minimum gap is one of scores, and the data holds ranks",
            "leave data.minimum_gap out.",
        )


_OTHER = "leave data.convert out, or name the columns that hold the judgements with --map."


def _refused(problem: str, fix: str) -> ConfigError:
    return ConfigError(
        "PT301",
        f"{problem}.",
        why="a conversion does what it is named for, or nothing at all.",
        fix=fix,
        where="data.convert",
    )


def _sentence(name: str, made: Sequence[Group], left: Sequence[Exclusion], terms: Terms) -> str:
    count = terms.counts
    if name == "thumbs":
        done = f"{_many(len(made), 'pair')} as {count['good']:,} good and {count['bad']:,} bad"
    elif name == "ranks":
        done = f"{_many(len(made), 'ranking')} from scores"
    elif name == "majority":
        done = _of_majority(count)
    else:
        done = f"{_many(count['pairs'], 'pair')} from {_many(len(made), 'prompt')}"
    once = ", each prompt counting once" if name == "all-pairs" else ""
    beside = {
        "doubtful": f"the doubt of {_many(count['doubtful'], 'judgement')} is lost",
        "shared": f"{count['shared']:,} of them with shared places",
        "drawn": f"among equals the lot decided in {_many(count['drawn'], 'prompt')}",
        "ties": f"{_many(count['ties'], 'tie')} made no pair",
        "small": f"{_many(count['small'], 'gap')} below {terms.minimum_gap:g} made no pair",
        "left": f"{_many(count['left'], 'response')} in no judgement left out",
    }
    said = [done + once, *(text for key, text in beside.items() if count[key])]
    if left and name != "majority":
        reasons = Intake(len(left), 0, tuple(left)).by_reason
        listed = ", ".join(f"{number:,} {reason}" for reason, number in reasons.items())
        said.append(f"{_many(len(left), 'row')} excluded ({listed})")
    return f"{name}: {'; '.join(said)}."


def _of_majority(count: Counter[str]) -> str:
    if not count["merged"]:
        return "no two responses were judged more than once, so nothing was merged"
    return (
        f"{count['judgements']:,} judgements merged into {count['merged']:,}, "
        f"{count['unanimous']:,} of them unanimous, {count['even']:,} evenly split: ties"
    )


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + "s" * (number != 1)
