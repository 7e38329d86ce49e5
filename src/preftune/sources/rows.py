"""What every reader of files yields: rows with their place, or the account of a rejected one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from preftune.records import Exclusion


@dataclass(frozen=True, slots=True)
class Row:
    """A row as the file holds it, before anything is known about its layout."""

    place: str
    """`file:line`; for Parquet and hub data the 1-based number of the row."""
    columns: dict[str, object]


Item = Row | Exclusion


@dataclass(frozen=True, slots=True)
class Opened:
    """Data ready to be streamed once."""

    items: Iterator[Item]
    fingerprint: Callable[[], str]
    """sha256 as hex; complete once `items` is exhausted."""
    note: str = ""
    """Something to announce about how the data is read; empty when nothing is unusual."""


class RowError(Exception):
    """A row that can't become a group. Caught by `read`, which adds the place.

    Args:
        reason: Short and countable.
        detail: What was seen.
        broken: False for a well-formed row that has nothing to teach: an empty response, or two
            identical ones. Real data holds a few of them; see `read`.
    """

    def __init__(self, reason: str, detail: str = "", *, broken: bool = True) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.broken = broken


def quote(value: object, width: int = 60) -> str:
    """`value` for a message: shortened, with control characters made visible."""
    text = repr(value[: width + 1] if isinstance(value, str) else value)
    return text if len(text) <= width else text[: width - 1] + "…"


def kind_of(value: object) -> str:
    """What a value is, in words."""
    if isinstance(value, bool):
        return "true or false"
    if value is None:
        return "nothing"
    return _KINDS.get(type(value).__name__, type(value).__name__)


_KINDS = {
    "str": "text",
    "int": "a number",
    "float": "a number",
    "list": "a list",
    "dict": "an object",
}
