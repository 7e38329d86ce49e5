"""Two responses side by side and the verdicts of people: which columns, and what they say."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from preftune.errors import DataError
from preftune.records import Relation
from preftune.sources.columns import Columns, look_up
from preftune.sources.rows import Row, RowError, kind_of, quote

SIDES = ("response_a", "response_b")

_FIRST, _SECOND, _TIE = range(3)
_STEMS = ("response", "answer", "output", "completion", "generation", "conversation", "human_ref")
_ENDINGS = (("_a", "_b"), ("_A", "_B"), ("A", "B"), ("_1", "_2"), ("1", "2"), ("_0", "_1"))
SPELLINGS = (
    *((stem + one, stem + other) for stem in _STEMS for one, other in _ENDINGS),
    ("a1", "a2"),
)
VERDICTS = (
    "verdict", "winner", "preference", "preferred", "choice", "label", "labels", "judgement",
    "judgment",
)  # fmt: skip
NUMBERED = re.compile(r"(annotator|annotation|rater|worker|judge|verdict|vote|label)_?\d+")
ANNOTATORS = ("annotator", "annotator_id", "worker", "worker_id", "rater", "rater_id")
JUDGES = (*ANNOTATORS, "judge")
"""What an annotator is called beside a verdict: a `judge` elsewhere may be anything."""
_LONGEST = 100  # of a verdict or a name, in characters

_WORDS = {
    **dict.fromkeys(
        ("a", "a1", "left", "first", "model_a", "response_a", "response_1", "response1"), _FIRST
    ),
    **dict.fromkeys(
        ("b", "a2", "right", "second", "model_b", "response_b", "response_2", "response2"), _SECOND
    ),
    **dict.fromkeys(
        ("tie", "equal", "same", "draw", "tie (bothbad)", "tie (both bad)", "both_bad", "both bad",
         "bothbad"),
        _TIE,
    ),
}  # fmt: skip
"""Verdicts as published data spells them, in lower case."""
_FROM_ONE = {1: _FIRST, 2: _SECOND, 0: _TIE}
_FROM_ZERO = {0: _FIRST, 1: _SECOND}
_NUMBERS = frozenset((0, 1, 2))

Says = Mapping[str | int, int]
"""What a value of a verdict column stands for."""


def with_verdicts(
    names: Mapping[str, str], mapped: set[str], sample: Sequence[Row]
) -> dict[str, str] | None:
    """The words for columns, with the two responses and the columns of verdicts.

    Several numbered columns, as PandaLM's `annotator1` to `annotator3`, are the words `verdict 1`,
    `verdict 2`, …: each is a person.

    Returns:
        None where the rows do not hold two responses side by side with a verdict, or where several
        columns could be the verdict.
    """
    sides = sides_in(names, sample)
    if sides is None:
        return None
    found = {**names, **dict(zip(SIDES, sides, strict=True))}
    verdicts = verdicts_in(found, mapped, sample)
    if len(verdicts) != 1:
        numbered = [column for column in verdicts if NUMBERED.fullmatch(column)]
        if len(numbered) < 2 or len(numbered) < len(verdicts):
            return None
    found = {word: column for word, column in found.items() if column not in verdicts}
    if len(verdicts) == 1:
        return with_annotator({**found, "verdict": verdicts[0]}, sample, JUDGES)
    return {**found, **{f"verdict {number}": name for number, name in enumerate(verdicts, 1)}}


def sides_in(names: Mapping[str, str], sample: Sequence[Row]) -> tuple[str, str] | None:
    """The columns of two responses side by side: as mapped, or as published data spells them."""
    if set(SIDES) <= set(names):
        return names["response_a"], names["response_b"]
    taken = set(names.values())
    columns = {column for row in sample for column, value in row.columns.items() if value}
    return next((both for both in SPELLINGS if columns.issuperset(both) and not taken & {*both}),
                None)  # fmt: skip


def verdicts_in(names: Mapping[str, str], mapped: set[str], sample: Sequence[Row]) -> list[str]:
    """The columns that hold verdicts: the mapped one, or all that look like some."""
    if "verdict" in mapped:
        return [names["verdict"]]
    sides = (names["response_a"], names["response_b"])
    known = [name for name in VERDICTS if _mostly_verdicts(name, sides, sample)]
    present = dict.fromkeys(column for row in sample for column in row.columns)
    numbered = [name for name in present if NUMBERED.fullmatch(name) and name not in sides]
    if not known:
        known = [name for name in numbered if _mostly_verdicts(name, sides, sample)]
    kept = {column for word, column in names.items() if word in mapped}
    return [name for name in known if name not in kept]


def with_annotator(
    names: Mapping[str, str], sample: Sequence[Row], spellings: Sequence[str] = ANNOTATORS
) -> dict[str, str]:
    """The words for columns, with `annotator` where a column of such a name holds names."""
    free = [name for name in spellings if name not in names.values()]
    column = next((name for name in free if _mostly_names(name, sample)), None)
    return {**names, **({"annotator": column} if column and "annotator" not in names else {})}


def _mostly_names(column: str, sample: Sequence[Row]) -> bool:
    values = [look_up(row.columns, column) for row in sample]
    known = [value for value in values if value is not None and value != ""]
    return 2 * sum(_is_name(value) for value in known) >= len(known) > 0


def _is_name(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST
    return isinstance(value, int) and not isinstance(value, bool)


def annotator_of(columns: Columns, row: Row) -> str:
    """Who judged the row, empty where it does not say.

    Raises:
        RowError: what stands there is no name.
    """
    if "annotator" not in columns.names:
        return ""
    value = columns.get(row, "annotator")
    if value is None:
        return ""
    if not _is_name(value):
        raise RowError("annotator is no name", f"it is {kind_of(value)}: {quote(value)}")
    return str(value).strip()


def _mostly_verdicts(column: str, sides: tuple[str, str], sample: Sequence[Row]) -> bool:
    values = [look_up(row.columns, column) for row in sample]
    known = [value for value in map(_plain, values) if value is not None]
    says = {**_WORDS, **_own_names(sides), **dict.fromkeys(_NUMBERS, _TIE)}
    return 2 * sum(value in says for value in known) >= len(known) > 0


def _plain(value: object) -> str | int | None:
    """A verdict as a number or in lower case; none where there is none."""
    if value is None or isinstance(value, bool):
        return None if value is None else f"{value}"
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and len(value) <= _LONGEST:
        text = value.strip().lower()
        return int(text) if text in ("0", "1", "2") else text or None
    return value if isinstance(value, int) else quote(value)


def _own_names(sides: tuple[str, str]) -> dict[str, int]:
    """A verdict may name the column that it prefers."""
    return {sides[0].lower(): _FIRST, sides[1].lower(): _SECOND}


def verdict_words(names: Mapping[str, str]) -> list[str]:
    """The words of the columns with verdicts."""
    return [word for word in names if word.startswith("verdict")]


def _held(columns: Columns) -> list[tuple[str, str]]:
    """Word and column of each verdict."""
    return [(word, columns.names[word]) for word in verdict_words(columns.names)]


def meaning_of(columns: Columns, sample: Sequence[Row], where: str) -> Says:
    """What the values of the verdict columns stand for.

    Words say it themselves. Of numbers 1 is the first and 2 the second response, 0 a tie, where a
    2 occurs; responses that are themselves numbered 0 and 1 are called by these numbers.

    Raises:
        DataError: PT103, only 0 and 1 occur: published data reads them both ways.
    """
    sides = (columns.names["response_a"], columns.names["response_b"])
    says: dict[str | int, int] = {**_WORDS, **_own_names(sides)}
    if sides[0].endswith("0") and sides[1].endswith("1"):
        return {**says, **_FROM_ZERO}
    names = [name for _, name in _held(columns)]
    values = [_plain(look_up(row.columns, name)) for row in sample for name in names]
    known = [value for value in values if value is not None]
    numbers = {value for value in known if value in _NUMBERS}
    if 2 * sum(value in _NUMBERS for value in known) < len(known) or not numbers:
        return says
    if 2 in numbers:
        return {**says, **_FROM_ONE}
    listed = " and ".join(f"{number}" for number in sorted(numbers, key=str))
    raise DataError(
        "PT103",
        f"the verdicts in {quote(names[0])} are {listed} only, which may mean either response",
        why="in some published data 1 is the first response and 0 the second, in other data it is "
        "the other way round; read wrongly every judgement is turned round.",
        fix="write `a` for the first response, `b` for the second and `tie` for neither (or 1, 2 "
        "and 0).",
        where=where,
    )


def said_of_verdicts(columns: Columns, says: Says) -> str:
    """The columns of verdicts, for the layout's sentence."""
    held = [f"`{name}`" for _, name in _held(columns)]
    listed = " and ".join([", ".join(held[:-1]), held[-1]] if held[1:] else held)
    numbers = ""
    if 1 in says:
        numbers = " (1 the first, 2 the second, 0 a tie)" if 2 in says else " (0 or 1)"
    each = ", each column an annotator" if held[1:] else ""
    return f"; verdicts in {listed}{numbers}{each}"


def judge_verdicts(columns: Columns, says: Says) -> Callable[[Row], tuple[Relation, ...]]:
    """What gives a row's judgements, one for each verdict; its `RowError`s say what is wrong."""
    verdicts = _held(columns)
    listed = ", ".join(quote(name) for _, name in verdicts)
    single = len(verdicts) == 1

    def judge(row: Row) -> tuple[Relation, ...]:
        found: list[Relation] = []
        for word, name in verdicts:
            value = columns.get(row, word)
            plain = _plain(value)
            if plain is None:
                continue
            verdict = says.get(plain)
            if verdict is None:
                seen = f"column {quote(name)} holds {kind_of(value)}: {quote(value)}"
                raise RowError("unknown verdict", seen)
            found.append(_relation(verdict, annotator_of(columns, row) if single else name))
        if not found:
            raise RowError("missing verdict", f"column {listed} has none")
        return tuple(found)

    return judge


@lru_cache(maxsize=65_536)
def _relation(verdict: int, annotator: str) -> Relation:
    """A million judgements share a few thousand of these."""
    if verdict == _TIE:
        return Relation(0, 1, tie=True, annotator=annotator)
    return Relation(verdict, 1 - verdict, annotator=annotator)
