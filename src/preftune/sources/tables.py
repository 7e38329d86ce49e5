"""CSV and TSV with a header line; every row must have as many fields as the header."""

import csv
from collections.abc import Iterator

from preftune.errors import DataError
from preftune.records import Exclusion
from preftune.sources.jsonl import BOM, refuse_blanks
from preftune.sources.lines import LINE_LIMIT, ByteStream, Line, split_lines
from preftune.sources.rows import Item, Row


class _LongLineError(Exception):
    """Raised through `csv.reader`, which forgets the row it was in and goes on."""


class _Text:
    """Lines as text for `csv.reader`, counted here because the reader skips those that fail."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self.number = 0

    def __iter__(self) -> "_Text":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number = line.number
        if line.data is None:
            raise _LongLineError(f"line {line.number} has {line.size:,} bytes")
        data = line.data.removeprefix(BOM) if line.number == 1 else line.data
        # Broken bytes are carried to the row's check, so that only this row is rejected.
        return data.decode(errors="surrogateescape") + "\n"


def table_rows(
    stream: ByteStream, name: str, *, delimiter: str = ",", limit: int = LINE_LIMIT
) -> Iterator[Item]:
    """Rows of a CSV stream. A quoted field may hold newlines; the place is the first line.

    Raises:
        DataError: PT101, the header is broken or names a column twice.
    """
    # The module's own limit of 128 KiB is process-wide and too small for long responses.
    csv.field_size_limit(max(csv.field_size_limit(), limit))
    text = _Text(split_lines(stream, limit=limit, name=name))
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    header = _header(reader, name)
    if header is None:
        return
    blank: list[Exclusion] = []
    while True:
        place = f"{name}:{text.number + 1}"
        try:
            fields = next(reader)
        except StopIteration:
            return
        except (csv.Error, _LongLineError) as error:
            reason = "line too long" if isinstance(error, _LongLineError) else "not CSV"
            item: Item = Exclusion(place, reason, f"{error} (up to line {text.number})")
        else:
            if not fields:
                blank.append(Exclusion(place, "blank line", "no row on this line"))
                refuse_blanks(len(blank), place)
                continue
            item = _row(header, fields, place)
        yield from blank
        blank.clear()
        yield item


def _header(reader: "Iterator[list[str]]", name: str) -> list[str] | None:
    try:
        header = next(reader)
    except StopIteration:
        return None
    except (csv.Error, _LongLineError) as error:
        raise _bad_header(name, str(error)) from error
    if len(set(header)) != len(header):
        twice = next(column for column in header if header.count(column) > 1)
        raise _bad_header(name, f"two columns are named {twice!r}")
    if not header or not all(column.strip() for column in header):
        raise _bad_header(name, "a column has no name")
    return header


def _row(header: list[str], fields: list[str], place: str) -> Item:
    if len(fields) != len(header):
        detail = f"{len(fields)} fields, the header has {len(header)}"
        return Exclusion(place, "wrong number of columns", detail)
    for column, field in zip(header, fields, strict=True):
        if not field.isascii() and any("\ud800" <= char <= "\udfff" for char in field):
            return Exclusion(place, "not UTF-8", f"column {column!r}")
    return Row(place, dict(zip(header, fields, strict=True)))


def _bad_header(name: str, problem: str) -> DataError:
    return DataError(
        "PT101",
        f"the header line can't be used: {problem}",
        why="the first line names the columns.",
        fix="give the file a header line with one name for each column.",
        where=f"{name}:1",
    )
