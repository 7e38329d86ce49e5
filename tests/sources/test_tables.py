import io

import pytest

from preftune.errors import DataError
from preftune.records import Exclusion
from preftune.sources.rows import Row
from preftune.sources.tables import table_rows


def read(data: bytes, **options):
    return list(table_rows(io.BytesIO(data), "f.csv", **options))


def test_quotes_newlines_and_a_byte_order_mark():
    data = '\ufeffprompt,chosen\r\n"a, ""b""","two\r\nlines\u2028"\r\nc,d\r\n\r\n'.encode()
    assert read(data) == [
        Row("f.csv:2", {"prompt": 'a, "b"', "chosen": "two\r\nlines\u2028"}),
        Row("f.csv:4", {"prompt": "c", "chosen": "d"}),
    ]


def test_each_broken_row_is_rejected_and_the_next_is_read():
    lines = [
        b"a,b", b"1,2", b"1", b"1,2,3", b"\xff,2", b'"x"y,2', b"", b"x" * 300 + b",2", b"3,4", b"",
    ]  # fmt: skip
    items = read(b"\n".join(lines), limit=200)
    rejected = [(item.source, item.reason) for item in items if isinstance(item, Exclusion)]
    assert rejected == [
        ("f.csv:3", "wrong number of columns"),
        ("f.csv:4", "wrong number of columns"),
        ("f.csv:5", "not UTF-8"),
        ("f.csv:6", "not CSV"),
        ("f.csv:7", "blank line"),
        ("f.csv:8", "line too long"),
    ]
    rows = [item for item in items if isinstance(item, Row)]
    assert [row.place for row in rows] == ["f.csv:2", "f.csv:9"]


def test_a_quote_that_is_never_closed_is_one_rejection_that_says_how_far_it_went():
    *_, last = read(b'a,b\n1,2\n"open,2\n3,4\n5,6\n')
    assert isinstance(last, Exclusion)
    assert (last.source, last.reason) == ("f.csv:3", "not CSV")
    assert "up to line 5" in last.detail


def test_a_field_of_more_than_the_modules_own_limit_is_read():
    long = "x" * 300_000
    assert read(f"a\n{long}\n".encode()) == [Row("f.csv:2", {"a": long})]


def test_tabs():
    assert read(b"a\tb\n1, 2\t3\n", delimiter="\t") == [Row("f.csv:2", {"a": "1, 2", "b": "3"})]


@pytest.mark.parametrize("data", [b"a,a\n1,2\n", b"a,\n1,2\n", b'"a\n', b"\n1,2\n"])
def test_a_header_that_names_nothing_or_twice_is_refused(data):
    with pytest.raises(DataError) as caught:
        read(data)
    assert (caught.value.code, caught.value.where) == ("PT101", "f.csv:1")


def test_an_empty_table_has_no_rows():
    assert read(b"") == []
    assert read(b"a,b\n") == []
