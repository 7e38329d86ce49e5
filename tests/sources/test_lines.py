import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preftune.errors import DataError
from preftune.sources.lines import CHUNK, split_lines


@given(st.binary(max_size=200).map(lambda data: data.replace(b"\x00", b"\n")))
def test_lines_are_what_a_split_at_the_newline_byte_gives(data):
    found = list(split_lines(io.BytesIO(data)))
    wanted = data.split(b"\n")
    if not wanted[-1]:
        wanted.pop()
    assert [line.data for line in found] == wanted
    assert [line.number for line in found] == list(range(1, len(wanted) + 1))
    for line in found:
        assert data[line.offset : line.offset + line.size] == line.data


def test_no_other_separator_ends_a_line():
    text = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\rh"
    assert [line.data for line in split_lines(io.BytesIO(text.encode()))] == [text.encode()]


def test_lines_across_chunks_are_whole():
    first, second = b"x" * (CHUNK - 3), b"y" * (2 * CHUNK + 5)
    found = list(split_lines(io.BytesIO(first + b"\n" + second + b"\nz")))
    assert [line.data for line in found] == [first, second, b"z"]
    assert [line.offset for line in found] == [0, CHUNK - 2, 3 * CHUNK + 4]


def test_a_line_over_the_limit_keeps_its_number_and_size_but_not_its_bytes():
    data = b"ok\n" + b"x" * (3 * CHUNK) + b"\nok again"
    short, long, last = split_lines(io.BytesIO(data), limit=CHUNK)
    assert (long.number, long.offset, long.size, long.data) == (2, 3, 3 * CHUNK, None)
    assert (short.data, last.data, last.number) == (b"ok", b"ok again", 3)


def test_a_line_exactly_at_the_limit_is_read():
    at, over = split_lines(io.BytesIO(b"12345\n123456\n"), limit=5)
    assert at.data == b"12345"
    assert over.data is None


class Endless:
    """A line of a given size that exists only a chunk at a time, and then one more line."""

    def __init__(self, size):
        self.left = size

    def read(self, size):
        if self.left <= 0:
            self.left, data = self.left - 1, b"\nlast" if self.left == 0 else b""
            return data
        self.left -= min(size, self.left)
        return b"x" * size


def test_a_line_over_the_limit_is_never_held():
    tracemalloc.start()
    try:
        long, last = split_lines(Endless(100 * CHUNK), limit=2 * CHUNK)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (long.size, long.data, last.data) == (100 * CHUNK, None, b"last")
    assert peak < 6 * CHUNK


def test_a_line_that_does_not_end_is_refused_before_all_of_it_was_read():
    stream = Endless(1000 * CHUNK)
    with pytest.raises(DataError) as caught:
        list(split_lines(stream, limit=CHUNK, name="f", endless=20 * CHUNK))
    assert (caught.value.code, caught.value.where) == ("PT107", "f:1")
    assert stream.left > 970 * CHUNK
