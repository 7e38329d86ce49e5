"""Which column of the file holds which word, of what kind, and how to take it from a row."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sys import intern
from typing import Literal, cast

from preftune.records import Message
from preftune.sources.rows import Row, RowError, kind_of, quote
from preftune.sources.scalars import number_of
from preftune.sources.turns import Turns, turns_of

Kind = Literal["text", "messages"]

PAIR = ("chosen", "rejected")
_LEVELS = 4
"""How deep inside a column a mapping may reach: UltraFeedback has ratings four levels down."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a layout uses."""

    names: Mapping[str, str]
    """Word to column of the file."""
    kinds: Mapping[str, Kind]
    """Word to what most sampled rows hold there; a row of another kind is broken."""

    def get(self, row: Row, word: str) -> object:
        """What the row has for `word`; none where it is null or lacks the column."""
        return look_up(row.columns, self.names[word])

    def value(self, row: Row, word: str) -> object:
        """What the row has for `word`.

        Raises:
            RowError: the row lacks the column, or it is null.
        """
        value = self.get(row, word)
        if value is None:
            seen = "null" if self.names[word] in row.columns else "no such column in this row"
            raise RowError(f"missing {word}", f"column {quote(self.names[word])}: {seen}")
        return value

    def number(self, row: Row, word: str) -> float | None:
        """The number of `word`, none where the row says that there is none."""
        return number_of(self.get(row, word), word)

    def weight(self, row: Row) -> float:
        """What the row counts in the loss: 1 where the layout has no weights.

        Raises:
            RowError: the row lacks its weight, or it is not above 0.
        """
        if "weight" not in self.names:
            return 1.0
        weight = self.number(row, "weight")
        if weight is None:
            raise RowError("missing weight", f"column {quote(self.names['weight'])} has none")
        if weight <= 0:
            raise RowError("weight is not above 0", f"it is {weight:g}: leave the row out instead")
        return weight

    def text(self, row: Row, word: str) -> str:
        """The text of `word`; nothing else is ever converted to text."""
        value = self.value(row, word)
        if not isinstance(value, str):
            raise RowError(f"{word} is not text", f"it is {kind_of(value)}: {quote(value)}")
        return value

    def turns(self, row: Row, word: str) -> Turns:
        """The messages of `word`."""
        return turns_of(self.value(row, word), word)

    def optional_text(self, row: Row, word: str) -> str:
        """The text of `word`, empty when the layout, the file or the row has none."""
        if word not in self.names or self.get(row, word) is None:
            return ""
        return self.text(row, word)

    def question(self, row: Row, word: str) -> Turns:
        """The prompt in column `word`, as turns, with the system's text before it if there is one.

        Raises:
            RowError: the prompt is empty or of the wrong kind.
        """
        if word == "instruction":
            parts = (self.text(row, word), self.optional_text(row, "input"))
            text = "\n\n".join(part for part in parts if part.strip())
        elif self.kinds[word] == "messages":
            return self.with_system(row, self.turns(row, word))
        else:
            text = self.text(row, word)
        if not text.strip():
            raise RowError("empty prompt", f"{word} is {quote(text)}")
        return self.with_system(row, (Message("user", text),))

    def answer(self, row: Row, word: str) -> Turns:
        """The response in column `word`, as turns."""
        if self.kinds[word] == "messages":
            return self.turns(row, word)
        text = self.text(row, word)
        if not text.strip():
            raise RowError(f"empty {word}", f"it is {quote(text)}", broken=False)
        return (Message("assistant", text),)

    def with_system(self, row: Row, turns: Turns) -> Turns:
        """The turns after the system's text, unless they begin with the same text."""
        text = self.optional_text(row, "system")
        if not text.strip() or turns[:1] == (Message("system", text),):
            return turns
        return (Message("system", text), *turns)

    def metadata(self, row: Row) -> dict[str, object]:
        """Every column that the layout does not use."""
        used = self.names.values()
        return {intern(key): value for key, value in row.columns.items() if key not in used}


def look_up(columns: Mapping[str, object], name: str) -> object:
    """The value of a column, or what lies inside one where the name is dotted.

    Example:
        >>> look_up({"metadata": {"score": 7}}, "metadata.score")
        7
        >>> look_up({"answers": [{"rank": 1}, {"rank": 2}]}, "answers.rank")
        [1, 2]
    """
    if name in columns or "." not in name:
        return columns.get(name)
    value: object = columns
    for key in name.split("."):
        value = _inside(value, key)
    return value


def _inside(value: object, key: str) -> object:
    if isinstance(value, dict):
        return cast("dict[str, object]", value).get(key)
    if isinstance(value, list):
        return [_inside(item, key) for item in cast("list[object]", value)]
    return None


def inner_columns(sample: Sequence[Row]) -> list[str]:
    """Dotted names of what lies inside the columns of the sampled rows."""
    found: dict[str, None] = {}
    for row in sample:
        level: list[tuple[str, object]] = list(row.columns.items())
        for _ in range(_LEVELS):
            level = [pair for name, value in level for pair in _below(name, value)]
            found.update((name, None) for name, _ in level)
    return list(found)


def _below(name: str, value: object) -> list[tuple[str, object]]:
    if isinstance(value, list):
        items = [item for item in cast("list[object]", value) if not isinstance(item, list)]
        return [pair for item in items for pair in _below(name, item)]
    if isinstance(value, dict):
        inside = cast("dict[str, object]", value)
        return [(f"{name}.{key}", item) for key, item in inside.items()]
    return []


def choose_columns(
    names: Mapping[str, str], words: Sequence[str], sample: Sequence[Row]
) -> Columns:
    """The columns of `words`, with the kind that most sampled rows have."""
    chosen = {word: names[word] for word in words if word in names}
    return Columns(chosen, {word: _kind(column, sample) for word, column in chosen.items()})


def _kind(column: str, sample: Sequence[Row]) -> Kind:
    counts: Counter[Kind] = Counter()
    for row in sample:
        value = look_up(row.columns, column)
        if isinstance(value, str):
            counts["text"] += 1
        elif isinstance(value, list | dict):
            counts["messages"] += 1
    return counts.most_common(1)[0][0] if counts else "text"
