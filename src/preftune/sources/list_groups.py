"""From a row with several judged responses to a group."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

from preftune.records import Group, Message, Rating, Response
from preftune.sources.lists import JUDGED, Lists, judgement_in, lenient, list_in
from preftune.sources.pairing import TOO_FEW
from preftune.sources.rows import Row, RowError, kind_of, quote
from preftune.sources.scalars import number_of
from preftune.sources.turns import Turns, checked_answer, checked_prompt, turns_of

EMPTY = "empty responses left out"
COPIES = "copies of a response left out"
UNRATED = "responses without a rating left out"


def group_of(lists: Lists, row: Row, counts: Counter[str]) -> Group:
    """The group of a row: its distinct responses, each with its rating.

    Args:
        lists: Where everything stands.
        row: The row.
        counts: Of what is left out inside rows that are used.

    Raises:
        RowError: the row is broken, or compares nothing.
    """
    question = checked_prompt(lists.columns.question(row, lists.prompt))
    items = list_in(row.columns, lists.columns.names["responses"])
    if items is None:
        raise _no_list("responses", lists.columns.value(row, "responses"))
    left: Counter[str] = Counter()
    rated = _distinct(lists, items, _values(lists, row, items), question, left)
    known = {turns: value for turns, value in rated.items() if value is not None}
    if len(known) < 2:
        raise RowError(TOO_FEW, f"{len(known)} of {len(items)}", broken=False)
    left[UNRATED] += len(rated) - len(known)
    counts.update(left)
    seconds = _seconds(lists, row, items, question)
    return Group(
        prompt=question,
        responses=_rated(lists, known, seconds),
        source=row.place,
        form=lists.form,
        weight=lists.columns.weight(row),
        shown=lists.shown,
        metadata=lists.columns.metadata(row),
    )


def _rated(
    lists: Lists, known: Mapping[Turns, float], seconds: Mapping[Turns, float]
) -> tuple[Response, ...]:
    """The responses with their scores or ranks, or both.

    Files count from 0 or 1 and leave gaps after equal ranks: only the order is kept.
    """
    scores, ranks = (seconds, known) if lists.ranked else (known, seconds)
    places = {rank: index for index, rank in enumerate(sorted({*ranks.values()}))}
    place = {turns: places[rank] for turns, rank in ranks.items()}
    return tuple(
        Response(turns, Rating(score=scores.get(turns), rank=place.get(turns))) for turns in known
    )


def _seconds(
    lists: Lists, row: Row, items: Sequence[object], question: Turns
) -> dict[Turns, float]:
    """What else was said of responses: ranks beside scores, or scores beside ranks."""
    if not lists.second:
        return {}
    if lists.second in JUDGED:
        raw = list_in(row.columns, lists.columns.names[lists.second]) or []
    else:
        raw = [judgement_in(item, lists.second) for item in items]
    found: dict[Turns, float] = {}
    for number, (item, value) in enumerate(zip(items, raw, strict=False), 1):
        turns, known = _answer(lists, item, number, question), lenient(value)
        if turns is not None and known is not None and len(raw) == len(items):
            found.setdefault(turns, known)
    return found


def _distinct(
    lists: Lists,
    items: Sequence[object],
    values: Sequence[float | None],
    question: Turns,
    left: Counter[str],
) -> dict[Turns, float | None]:
    """Each response that is not empty, once, with its score or rank."""
    rated: dict[Turns, float | None] = {}
    for number, (item, value) in enumerate(zip(items, values, strict=True), 1):
        turns = _answer(lists, item, number, question)
        if turns is None:
            left[EMPTY] += 1
        elif turns not in rated:
            rated[turns] = value
        else:
            rated[turns] = _same(rated[turns], value, turns)
            left[COPIES] += 1
    return rated


def _same(one: float | None, other: float | None, turns: Turns) -> float | None:
    """The rating of two copies of a response, of which one may be unrated."""
    if one is not None and other is not None and one != other:
        detail = f"{one:g} and {other:g}: {quote(turns[-1].content)}"
        raise RowError("identical responses rated differently", detail, broken=False)
    return other if one is None else one


def _values(lists: Lists, row: Row, items: Sequence[object]) -> list[float | None]:
    """The score or rank of each response."""
    what = "rank" if lists.ranked else "score"
    raw: list[object]
    if lists.judged:
        raw = [judgement_in(item, lists.judged) for item in items]
    else:
        given = lists.columns.get(row, f"{what}s")
        if given is not None and not isinstance(given, list):
            raise _no_list(f"{what}s", given)
        raw = [None] * len(items) if given is None else cast("list[object]", given)
    if len(raw) != len(items):
        detail = f"{len(items)} responses, {len(raw)} {what}s"
        raise RowError(f"responses and {what}s differ in number", detail)
    values = [number_of(value, what) for value in raw]
    if lists.ranked and any(value is not None and value < 0 for value in values):
        raise RowError("rank below 0", "ranks begin at 0 or 1; null where there is none")
    return values


def _answer(lists: Lists, item: object, number: int, question: Turns) -> Turns | None:
    """A response as turns; none where it is empty."""
    if isinstance(item, dict):
        item = cast("dict[str, object]", item).get(lists.text)
    if isinstance(item, list):
        turns = turns_of(cast("list[object]", item), "a response") if item else ()
        turns = turns[len(question) :] if turns[: len(question)] == question else turns
    elif isinstance(item, str):
        turns = (Message("assistant", item),)
    else:
        detail = f"response {number} is {kind_of(item)}"
        raise RowError("a response is not text", detail)
    if not any(turn.content.strip() for turn in turns if turn.role == "assistant"):
        return None
    return checked_answer(turns, "a response")


def _no_list(word: str, value: object) -> RowError:
    return RowError(f"{word} is not a list", f"it is {kind_of(value)}: {quote(value)}")
