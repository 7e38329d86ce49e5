"""JSON Lines, read strictly: every line becomes a row or a rejection with its line and reason."""

from collections.abc import Iterator
from typing import cast

from preftune.errors import DataError
from preftune.records import Exclusion
from preftune.sources.lines import LINE_LIMIT, ByteStream, Line, split_lines
from preftune.sources.rows import Item, Row, kind_of
from preftune.sources.strict_json import StrictDecoder

BOM = b"\xef\xbb\xbf"
MOST_BLANK = 10_000
"""Blank lines in a row that are read; a file with more of them is damaged, or a trap."""


def jsonl_rows(stream: ByteStream, name: str, *, limit: int = LINE_LIMIT) -> Iterator[Item]:
    r"""Rows of a JSON Lines stream, one object per line.

    Blank lines at the end are nothing; a blank line between rows is a rejected row.

    Args:
        stream: The unpacked bytes.
        name: File name for `file:line`.
        limit: Bytes of the longest line accepted; longer ones are rejected without being held.

    Raises:
        DataError: PT107, a line does not end; PT101, blank lines do not end.

    Example:
        >>> import io
        >>> row, rejected = jsonl_rows(io.BytesIO(b'{"a": "b"}\n[7]'), "f")
        >>> row
        Row(place='f:1', columns={'a': 'b'})
        >>> rejected.source, rejected.reason, rejected.detail
        ('f:2', 'not an object', 'byte 11: the line is a list')
    """
    decoder = StrictDecoder()
    blank: list[Exclusion] = []
    for line in split_lines(stream, limit=limit, name=name):
        data = line.data
        if data is None:
            item = _rejected(line, name, "line too long", f"{line.size:,} bytes, limit {limit:,}")
        else:
            data = data.removeprefix(BOM) if line.number == 1 else data
            if not data.strip(b" \t\r"):
                blank.append(_rejected(line, name, "blank line", "no row on this line"))
                refuse_blanks(len(blank), f"{name}:{line.number}")
                continue
            item = _row(decoder, line, data, name)
        yield from blank
        blank.clear()
        yield item


def refuse_blanks(number: int, where: str) -> None:
    """Refuse the file where so many blank lines in a row are too many.

    Raises:
        DataError: PT101, they are.
    """
    if number > MOST_BLANK:
        raise DataError(
            "PT101",
            f"{number:,} blank lines follow each other",
            why="rows were lost there, or the file is a trap that unpacks to nothing but these.",
            fix="look how the file was made; `grep -v '^$'` takes blank lines out.",
            where=where,
        )


def _row(decoder: StrictDecoder, line: Line, data: bytes, name: str) -> Item:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        byte = data[error.start]
        detail = f"byte 0x{byte:02x} at position {error.start + 1} of the line"
        return _rejected(line, name, "not UTF-8", detail)
    value, fault = decoder.decode(text)
    if fault:
        return _rejected(line, name, fault.reason, fault.detail)
    if not isinstance(value, dict):
        return _rejected(line, name, "not an object", f"the line is {kind_of(value)}")
    return Row(f"{name}:{line.number}", cast("dict[str, object]", value))


def _rejected(line: Line, name: str, reason: str, detail: str) -> Exclusion:
    return Exclusion(f"{name}:{line.number}", reason, f"byte {line.offset}: {detail}")
