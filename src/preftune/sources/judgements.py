"""What a pair's row says beside which side is chosen: doubt, margins, scores, ties."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial

from preftune.records import Rating, Relation
from preftune.sources.columns import Columns, look_up
from preftune.sources.rows import Row, RowError, kind_of, quote
from preftune.sources.scalars import is_number, truth_of
from preftune.sources.verdicts import annotator_of, with_annotator
from preftune.sources.words import JUDGEMENTS

Judged = tuple[tuple[Relation, ...], Rating | None, Rating | None]
"""The relations between the two responses, and the rating of each."""
Judge = Callable[[Row], Judged]

_SIDES = ("score_chosen", "score_rejected")
SPELLINGS = tuple(
    (pattern.format("chosen"), pattern.format("rejected"))
    for pattern in (
        "score_{}", "{}_score", "{}-score", "rating_{}", "{}_rating", "{}-rating", "{}_avg_rating",
    )
)  # fmt: skip
"""Scores of both sides as published data spells them."""
_MARKS = {"tie": True, "unchanged": False, "swapped": False}
"""What distilabel writes into `status`: whether its judge agreed with the older label."""

_FIRST_WINS = (Relation(winner=0, loser=1),)
"""Shared by all plain pairs: a million of them need it once."""


def with_weight(names: Mapping[str, str], sample: Sequence[Row]) -> dict[str, str]:
    """The words for columns, with `weight` where a column of this name holds numbers."""
    own = "weight" not in names and "weight" not in names.values()
    own = own and _mostly(is_number, "weight", sample)
    return {**names, "weight": "weight"} if own else dict(names)


def with_judgements(names: Mapping[str, str], sample: Sequence[Row]) -> dict[str, str]:
    """The words for columns, with those for judgements that the sampled rows hold.

    A column that carries the name of such a word stands for it if most of its values are of the
    right kind, so that an unrelated `strength: "high"` stays metadata.
    """
    found = dict(names)
    taken = set(names.values())

    def numeric(column: str) -> bool:
        return column not in taken and _mostly(is_number, column, sample)

    found |= {word: word for word in ("strength", "margin") if word not in found and numeric(word)}
    given = [word for word in _SIDES if word in found]
    if not given:
        sides = next((pair for pair in _spelled() if all(map(numeric, pair))), None)
        found |= zip(_SIDES, sides, strict=True) if sides else ()
    elif len(given) == 1:  # one score alone compares nothing: the mapping of it does nothing
        del found[given[0]]
    if "tie" not in found:
        marked = (name for name in ("tie", "is_tie", "status") if name not in taken)
        column = next((name for name in marked if _mostly(_is_mark, name, sample)), None)
        found |= {"tie": column} if column else {}
    return with_annotator(found, sample)


def _spelled() -> Iterator[tuple[str, str]]:
    yield from SPELLINGS
    for chosen, rejected in SPELLINGS:
        yield f"metadata.{chosen}", f"metadata.{rejected}"


def _mostly(fits: Callable[[object], bool], column: str, sample: Sequence[Row]) -> bool:
    values = [look_up(row.columns, column) for row in sample]
    known = [value for value in values if value is not None]
    return 2 * sum(map(fits, known)) >= len(known) > 0


def _is_mark(value: object) -> bool:
    return _mark(value) is not None


def _mark(value: object) -> bool | None:
    return _MARKS.get(value) if isinstance(value, str) and value in _MARKS else truth_of(value)


def said_of(columns: Columns) -> str:
    """The columns of judgements, for the layout's sentence."""
    held = {word: f"`{column}`" for word, column in columns.names.items()}
    said: list[str] = []
    if all(word in held for word in _SIDES):
        what = [] if "margin" in held else ["their difference is the margin"]
        what += [] if "strength" in held or "tie" in held else ["equal ones tie"]
        means = f": {', '.join(what)}" if what else ""
        said.append(f"scores in {held[_SIDES[0]]} and {held[_SIDES[1]]}{means}")
    said += [f"{word} in {held[word]}" for word in ("margin", "strength") if word in held]
    said += [f"ties marked in {held['tie']}"] if "tie" in held else []
    said += [f"annotator in {held['annotator']}"] if "annotator" in held else []
    return "".join(f"; {text}" for text in said)


def judge_of(columns: Columns) -> Judge:
    """What gives a row's relation and ratings.

    A tie is what is marked as one; where nothing is marked, a strength of exactly 0.5; where there
    is no strength either, equal scores. Scores that contradict the label don't change it: the
    margin is below 0 then.
    """
    if not any(word in columns.names for word in JUDGEMENTS):
        return partial(_by_annotator, columns) if "annotator" in columns.names else _plain

    def judge(row: Row) -> Judged:
        chosen, rejected = _scores(columns, row)
        strength = _strength(columns, row) if "strength" in columns.names else None
        margin = columns.number(row, "margin") if "margin" in columns.names else None
        if margin is None and chosen is not None and rejected is not None:
            margin = chosen - rejected
        marked = _marked(columns, row) if "tie" in columns.names else None
        if _is_tie(marked, strength, equal=chosen is not None and chosen == rejected):
            relation = Relation(0, 1, margin=None if margin is None else 0.0, tie=True)
        else:
            relation = Relation(0, 1, strength=strength or 1.0, margin=margin)
        if "annotator" in columns.names:
            relation = replace(relation, annotator=annotator_of(columns, row))
        return (relation,), _rating(chosen), _rating(rejected)

    return judge


def _plain(row: Row) -> Judged:
    return _FIRST_WINS, None, None


def _by_annotator(columns: Columns, row: Row) -> Judged:
    return _first_wins(annotator_of(columns, row)), None, None


@lru_cache(maxsize=65_536)
def _first_wins(annotator: str) -> tuple[Relation]:
    return (Relation(winner=0, loser=1, annotator=annotator),)


def _is_tie(marked: bool | None, strength: float | None, *, equal: bool) -> bool:
    if marked is None:
        return equal if strength is None else strength == 0.5
    if strength is not None and marked != (strength == 0.5):
        raise RowError("tie and strength contradict", f"tie {marked}, strength {strength:g}")
    return marked


def _scores(columns: Columns, row: Row) -> tuple[float, float] | tuple[None, None]:
    """Both scores, or none: one alone compares nothing."""
    if not all(word in columns.names for word in _SIDES):
        return None, None
    chosen, rejected = (columns.number(row, word) for word in _SIDES)
    return (None, None) if chosen is None or rejected is None else (chosen, rejected)


def _strength(columns: Columns, row: Row) -> float:
    strength = columns.number(row, "strength")
    if strength is None:
        raise RowError("missing strength", f"column {quote(columns.names['strength'])} has none")
    if not 0 <= strength <= 1:
        raise RowError(
            "strength is no probability",
            f"it is {strength:g}, not in (0.5, 1]; how much better chosen is, is a margin: "
            f"--map margin={columns.names['strength']}",
        )
    if strength < 0.5:
        raise RowError(
            "strength below 0.5",
            f"it is {strength:g}: rejected is the better one; swap chosen and rejected and write "
            f"{1 - strength:g}",
        )
    return strength


def _marked(columns: Columns, row: Row) -> bool:
    value = columns.get(row, "tie")
    marked = _mark(value)
    if marked is None:
        raise RowError("tie is not true or false", f"it is {kind_of(value)}: {quote(value)}")
    return marked


@lru_cache(maxsize=4096)
def _rating(score: float | None) -> Rating | None:
    """Scores repeat: a million rows share a few ratings."""
    return None if score is None else Rating(score=score)
