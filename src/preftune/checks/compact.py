"""Two lists that grow by the million, in a few bytes an entry instead of a hundred."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

_FIRST_SIZE = 1 << 10
_FULL = 0.6
"""Share of the table's places that may be taken: looked-up keys then stand within a few steps."""


@dataclass(slots=True)
class Places(Sequence[str]):
    """`file:line` of each row: the file once, the line as a number; anything else as it is.

    Example:
        >>> places = Places()
        >>> for place in ("a.jsonl:1", "a.jsonl:2", "b:07", "no line"):
        ...     places.append(place)
        >>> list(places)
        ['a.jsonl:1', 'a.jsonl:2', 'b:07', 'no line']
    """

    _files: dict[str, int] = field(default_factory=dict[str, int])
    _names: list[str] = field(default_factory=list[str])
    _file_of: "array[int]" = field(default_factory=lambda: array("I"))
    _lines: "array[int]" = field(default_factory=lambda: array("q"))
    """-1 where the name is the whole place."""

    def append(self, place: str) -> None:
        """The next row's place."""
        name, _, line = place.rpartition(":")
        plain = line.isascii() and line.isdigit() and len(line) < 19 and line[0] != "0"
        if not plain:
            name = place
        number = self._files.setdefault(name, len(self._names))
        if number == len(self._names):
            self._names.append(name)
        self._file_of.append(number)
        self._lines.append(int(line) if plain else -1)

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[at] for at in range(*row.indices(len(self)))]
        name, line = self._names[self._file_of[row]], self._lines[row]
        return name if line < 0 else f"{name}:{line}"

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))


class Numbering:
    """Numbers keys of 8 bytes in the order of first sight: a hash table of 12 bytes a place.

    The keys are hashes themselves, so their own bits say where they stand.

    Example:
        >>> numbering = Numbering()
        >>> [numbering.number(key) for key in (b"12345678", b"abcdefgh", b"12345678")]
        [0, 1, 0]
        >>> len(numbering)
        2
    """

    def __init__(self) -> None:
        self._keys = array("Q", bytes(8 * _FIRST_SIZE))
        self._numbers = array("I", bytes(4 * _FIRST_SIZE))  # 0: free; otherwise number + 1
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def number(self, key: bytes) -> int:
        """The key's number; a new key gets the next one."""
        value = int.from_bytes(key, "little")
        at = self._place(value)
        if not self._numbers[at]:
            if self._count > _FULL * len(self._numbers):
                self._grow()
                at = self._place(value)
            self._count += 1
            self._keys[at], self._numbers[at] = value, self._count
        return self._numbers[at] - 1

    def _place(self, value: int) -> int:
        """Where the key stands, or the free place where it would."""
        mask = len(self._numbers) - 1
        at = value & mask
        while self._numbers[at] and self._keys[at] != value:
            at = (at + 1) & mask
        return at

    def _grow(self) -> None:
        keys, numbers = self._keys, self._numbers
        self._keys = array("Q", bytes(16 * len(keys)))
        self._numbers = array("I", bytes(8 * len(numbers)))
        for key, number in zip(keys, numbers, strict=True):
            if number:
                at = self._place(key)
                self._keys[at], self._numbers[at] = key, number
