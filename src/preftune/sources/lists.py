"""Rows with several responses to one prompt, and a score or a rank for each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

from preftune.records import Form
from preftune.sources.columns import Columns, choose_columns, look_up
from preftune.sources.rows import Row, RowError, quote
from preftune.sources.scalars import is_number, number_of

SPELLINGS = {
    "responses": ("responses", "completions", "generations", "answers"),
    "scores": ("scores", "ratings", "rating"),
    "ranks": ("ranks", "ranking"),
}
_TEXTS = ("response", "text", "content", "completion", "answer", "output", "generation")
_SCORES = ("score", "rating", "overall_score", "fine-grained_score")
_RANKS = ("rank",)
JUDGED = ("scores", "ranks")
_ASPECTS = "annotations"
"""UltraFeedback's ratings by aspect: an object of objects, each with a `Rating`."""


@dataclass(frozen=True, slots=True)
class Lists:
    """Where the responses of a row stand, and what was said of each."""

    columns: Columns
    prompt: str
    """Word of the prompt."""
    ranked: bool
    """Ranks, the lowest the best; else scores, the highest the best."""
    text: str = ""
    """Key of the text, where a response is an object."""
    judged: str = ""
    """Key of the score or rank in that object, where no column of its own holds them."""
    second: str = ""
    """Where ranks stand beside scores, or scores beside ranks: `ranks` and `scores` are columns,
    anything else a key of the objects. They decide nothing but may contradict."""
    others: tuple[str, ...] = ()
    """Keys of other scores and ranks there, which are not used."""
    shown: bool = False
    """Whether the order in the file is not the ranking itself: then it may have played a part."""
    form: Form = "chat"


def find_lists(
    names: Mapping[str, str], prompt: str, mapped: set[str], sample: Sequence[Row]
) -> Lists | None:
    """Lists of judged responses in the sampled rows, if there are any.

    Args:
        names: Words to columns.
        prompt: The prompt's word.
        mapped: The words that the user gave; one for ranks goes before scores in the data.
        sample: The first rows.
    """
    held = dict(names)
    for word, spellings in SPELLINGS.items():
        column = next((name for name in spellings if _has_lists(name, names, sample)), None)
        held |= {word: column} if column and word not in held else {}
    if "responses" not in held:
        return None
    first = "ranks" if "ranks" in mapped and "scores" not in mapped else "scores"
    own = next((word for word in (first, "scores", "ranks") if word in held), "")
    items = [item for row in sample for item in list_in(row.columns, held["responses"]) or ()]
    keys = _judged_keys(items)
    if not own and not keys:
        return None
    key, *others = ("",) if own else keys
    second = _second(own, key, others, held, mapped)
    judged = [word for word in (own, second) if word in JUDGED]
    columns = choose_columns(held, (prompt, *_beside(prompt), "responses", *judged), sample)
    ranked = (own or key) in ("ranks", *_RANKS)
    text = _key(items, _TEXTS)
    if not text and any(isinstance(item, dict) for item in items):
        return None
    form: Form = "text" if _is_text(columns, prompt, items) else "chat"
    unused = tuple(other for other in others if other != second)
    found = Lists(
        columns, prompt, ranked, text=text, judged=key, second=second, others=unused, form=form
    )
    return replace(found, shown=_has_own_order(found, sample))


def _second(
    own: str, key: str, others: Sequence[str], held: Mapping[str, str], mapped: set[str]
) -> str:
    """Where the ranks beside scores stand, or the other way round; empty if there are none.

    A user who maps one of the two wants this one alone.
    """
    if own:
        given = mapped & set(JUDGED)
        other = next(word for word in JUDGED if word != own)
        return other if other in held and len(given) != 1 else ""
    return "" if key in _RANKS else next((one for one in others if one in _RANKS), "")


def _has_own_order(lists: Lists, sample: Sequence[Row]) -> bool:
    """Whether the sampled lists stand neither all from best to worst nor all the other way."""
    ways = {True, False}
    for row in sample:
        values = _heights(lists, row)
        falling = all(one >= other for one, other in pairwise(values))
        rising = all(one <= other for one, other in pairwise(values))
        ways &= {way for way, holds in ((True, falling), (False, rising)) if holds}
    return not ways


def _heights(lists: Lists, row: Row) -> list[float]:
    """What is known of a row's scores or ranks, in file order."""
    if lists.judged:
        items = list_in(row.columns, lists.columns.names["responses"]) or []
        raw = [judgement_in(item, lists.judged) for item in items]
    else:
        raw = list_in(row.columns, lists.columns.names[JUDGED[lists.ranked]]) or []
    return [number for value in raw if (number := lenient(value)) is not None]


def lenient(value: object) -> float | None:
    """The number, none where there is none or it can't be read."""
    try:
        return number_of(value, "")
    except RowError:
        return None


def _beside(prompt: str) -> tuple[str, ...]:
    return ("input", "system", "weight") if prompt == "instruction" else ("system", "weight")


def has_responses(sample: Sequence[Row]) -> str:
    """The column that holds lists of responses, judged or not; empty if none."""
    spellings = SPELLINGS["responses"]
    return next((name for name in spellings if _has_lists(name, {}, sample)), "")


def sentence(lists: Lists) -> str:
    """How the rows are read, to announce."""
    held = {word: f"`{column}`" for word, column in lists.columns.names.items()}
    what, best = ("rank", "lowest") if lists.ranked else ("score", "highest")
    joined = f" and {held['input']}, joined by an empty line" if "input" in held else ""
    said = f"{what}ed" if lists.ranked else "rated"
    text = f"{said} responses: prompt in {held[lists.prompt]}{joined}; responses in "
    text += held["responses"]
    if lists.text:
        text += f", each with its text in `{lists.text}`"
    if lists.judged == _ASPECTS:
        text += f", its score the mean of the ratings in `{_ASPECTS}`"
    elif lists.judged:
        text += f", its {what} in `{lists.judged}`"
    else:
        text += f", their {what}s in {held[what + 's']}"
    second = ""
    if lists.second:
        where = held.get(lists.second, f"`{lists.second}`")
        second = f", and {'scores' if lists.ranked else 'ranks'} in {where}"
    weight = f"; weight in {held['weight']}" if "weight" in held else ""
    system = f"; system text in {held['system']}" if "system" in held else ""
    others = f"; not used: {', '.join(map(quote, lists.others))}" if lists.others else ""
    return f"{text}, the {best} is the best{second}{others}{system}{weight}"


def list_in(columns: Mapping[str, object], column: str) -> list[object] | None:
    """The list that a column holds; an object of equally long lists is one, turned on its side."""
    value = look_up(columns, column)
    if isinstance(value, dict):
        inside = cast("dict[str, object]", value)
        lists = [cast("list[object]", one) for one in inside.values() if isinstance(one, list)]
        if len(lists) == len(inside) > 0 and len({len(one) for one in lists}) == 1:
            return [dict(zip(inside, parts, strict=True)) for parts in zip(*lists, strict=True)]
    return cast("list[object]", value) if isinstance(value, list) else None


def judgement_in(item: object, key: str) -> object:
    """What an object with a response says of it under a key; none where it says nothing."""
    if not isinstance(item, dict):
        return None
    value = cast("dict[str, object]", item).get(key)
    return _mean(value) if key == _ASPECTS else value


def _mean(aspects: object) -> float | None:
    """The mean of the ratings by aspect; aspects without one (`N/A`) do not count."""
    if not isinstance(aspects, dict):
        return None
    inside = cast("dict[str, object]", aspects)
    given = [judgement_in(aspect, "Rating") for aspect in inside.values()]
    known = [number for value in given if (number := number_of(value, "rating")) is not None]
    return sum(known) / len(known) if known else None


def _has_lists(column: str, names: Mapping[str, str], sample: Sequence[Row]) -> bool:
    """Whether most values of a column that has no word yet are lists."""
    values = [row.columns.get(column) for row in sample if row.columns.get(column) is not None]
    lists = sum(list_in({column: value}, column) is not None for value in values)
    return column not in names.values() and 2 * lists >= len(values) > 0


def _judged_keys(items: Sequence[object]) -> list[str]:
    """Where the objects hold their scores and ranks, the most direct first."""
    keys = (*_SCORES, _ASPECTS, *_RANKS)
    return [key for key in keys if any(_is_judged(item, key) for item in items)]


def _is_judged(item: object, key: str) -> bool:
    try:
        return is_number(judgement_in(item, key))
    except RowError:
        return False


def _key(items: Sequence[object], keys: Sequence[str]) -> str:
    """The first of the keys under which the objects hold text or messages."""
    objects = [cast("dict[str, object]", item) for item in items if isinstance(item, dict)]
    return next(
        (key for key in keys if any(isinstance(item.get(key), str | list) for item in objects)), ""
    )


def _is_text(columns: Columns, prompt: str, items: Sequence[object]) -> bool:
    """Whether prompt and responses are plain text, to be continued."""
    plain = prompt == "prompt" and columns.kinds[prompt] == "text" and "system" not in columns.names
    return plain and not any(_has_roles(item) for item in items)


def _has_roles(item: object) -> bool:
    return isinstance(item, list) or (isinstance(item, dict) and "role" in item)
