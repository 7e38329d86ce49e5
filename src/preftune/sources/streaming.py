"""Stream preference data: each row becomes a group or an exclusion, and is let go."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import cast

from preftune.errors import ConfigError, DataError
from preftune.records import Exclusion, Group
from preftune.sources.files import open_data
from preftune.sources.layouts import Layout, find_layout
from preftune.sources.rows import Item, Row, RowError

SAMPLE = 100
"""Rows whose columns decide the layout."""
_MOST_BEFORE = 10_000
"""Lines among which they are looked for."""
_LARGEST = 32 << 20
"""Letters of all of them, about: they are held together."""


@dataclass(slots=True)
class Stream:
    """Data opened for one pass, its layout found. Nothing is held but the sampled rows."""

    items: Iterator[Group | Exclusion]
    layout: Layout | None
    """None where no row could be parsed: then `items` are exclusions only."""
    fingerprint: Callable[[], str]
    """sha256 as hex; complete once `items` is exhausted."""
    note: str = ""
    """Something unusual about how the file is read."""
    _folded: list[int] = field(default_factory=lambda: [0])

    @property
    def folded(self) -> int:
        """Rows of the file so far, before they were unfolded."""
        return self._folded[0]

    @property
    def sentence(self) -> str:
        """How the rows are understood, to announce."""
        sentence = self.layout.sentence if self.layout else "no row can be parsed"
        return sentence + (f" ({self.note})" if self.note else "")


def stream(
    path_or_hub: str,
    *,
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
    limit: int | None = None,
) -> Stream:
    """Open data for one pass. Arguments as `read`; broken rows come as exclusions.

    Raises:
        DataError: PT100 to PT103, PT107: no row of the file can be understood.
        ConfigError: the mapping, the split or the limit does not fit.
    """
    if limit is not None and limit < 1:
        raise ConfigError(
            "PT301",
            f"a limit of {limit} rows reads nothing",
            why="at least one row is needed.",
            fix="give 1 or more, or none to read all.",
            where="limit",
        )
    opened = open_data(path_or_hub, split)
    items = islice(opened.items, limit)
    first, rows = _sample(items)
    if not rows and len(first) == _MOST_BEFORE:
        raise _no_row(cast("Exclusion", first[0]))
    if not first:
        raise _empty(path_or_hub)
    layout = find_layout(rows, mapping, path_or_hub) if rows else None
    # The items know nothing of the stream: who leaves early lets go of the file at once.
    folded = [0]
    found = _converted(chain(first, items), layout, folded)
    return Stream(found, layout, opened.fingerprint, opened.note, folded)


def _sample(items: Iterator[Item]) -> tuple[list[Item], list[Row]]:
    """The first items, up to and with the hundredth row that could be parsed, if it comes soon."""
    first: list[Item] = []
    rows: list[Row] = []
    size = 0
    for item in islice(items, _MOST_BEFORE):
        first.append(item)
        if isinstance(item, Row):
            rows.append(item)
            size += len(repr(item.columns))
            if len(rows) == SAMPLE or size > _LARGEST:
                break
    return first, rows


def _converted(
    items: Iterator[Item], layout: Layout | None, folded: list[int]
) -> Iterator[Group | Exclusion]:
    """Each row as a group, or why it is none; a row of several places as several."""
    for item in items:
        folded[0] += 1
        if layout is None or isinstance(item, Exclusion):
            if isinstance(item, Exclusion):
                yield item
            continue
        for part in layout.unfold(item) if layout.unfold else (item,):
            yield part if isinstance(part, Exclusion) else _group(layout, part)


def _group(layout: Layout, row: Row) -> Group | Exclusion:
    try:
        return layout.convert(row)
    except RowError as fault:
        return Exclusion(row.place, fault.reason, fault.detail, fault.broken)


def _no_row(first: Exclusion) -> DataError:
    return DataError(
        "PT101",
        f"none of the first {_MOST_BEFORE:,} lines holds a row; the first: {first.reason}",
        why="the file is of another kind than its name says.",
        fix="give it the right ending, or look how it was made.",
        where=first.source,
    )


def _empty(name: str) -> DataError:
    return DataError(
        "PT102",
        "the data holds no rows",
        why="there is nothing to train on.",
        fix="check how it was made.",
        where=name,
    )
