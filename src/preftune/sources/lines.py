"""Lines of a byte stream, split on the newline byte only and held up to a limit."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from preftune.errors import DataError

CHUNK = 1 << 20
LINE_LIMIT = 64 << 20
"""Bytes of the longest line that is read; the rest of a longer one is passed over."""
ENDLESS = 1 << 31
"""Bytes after which a line is no line: a few kilobytes of gzip can unpack to it."""


class ByteStream(Protocol):
    """Anything with `read(size)`."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its newline byte."""

    number: int
    """Counted from 1."""
    offset: int
    """Bytes before the line, in the unpacked stream."""
    size: int
    data: bytes | None
    """None when the line is longer than the limit."""


def split_lines(
    stream: ByteStream, *, limit: int = LINE_LIMIT, name: str = "", endless: int = ENDLESS
) -> Iterator[Line]:
    r"""Split at `\n` bytes alone: U+2028, U+0085 and carriage returns are text.

    Raises:
        DataError: PT107, a line of the file `name` does not end within `endless` bytes.

    Example:
        >>> import io
        >>> [line.data for line in split_lines(io.BytesIO(b"a\r\nbcd\ne"), limit=2)]
        [b'a\r', None, b'e']
    """
    number, offset, size = 1, 0, 0
    held: list[bytes] = []
    while chunk := stream.read(CHUNK):
        parts = chunk.split(b"\n")
        last = len(parts) - 1
        for index, part in enumerate(parts):
            size += len(part)
            if size <= limit:
                held.append(part)
            else:
                held.clear()
            if size > endless:
                raise _endless(f"{name}:{number}", endless)
            if index < last:
                yield Line(number, offset, size, b"".join(held) if size <= limit else None)
                number, offset, size = number + 1, offset + size + 1, 0
                held.clear()
    if size:
        yield Line(number, offset, size, b"".join(held) if size <= limit else None)


def _endless(where: str, endless: int) -> DataError:
    return DataError(
        "PT107",
        f"a line does not end within {endless:,} bytes",
        why="no row is that long; a few kilobytes of gzip can unpack to it and waste hours.",
        fix="write one row to a line, and look how the file was made.",
        where=where,
    )
