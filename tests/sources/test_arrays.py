import io

import pytest

from preftune.errors import DataError
from preftune.records import Exclusion
from preftune.sources.arrays import json_rows
from preftune.sources.rows import Row


def read(data: bytes, **options):
    items, _ = json_rows(io.BytesIO(data), "f.json", **options)
    return list(items)


def test_elements_carry_the_line_they_begin_on():
    data = b'\xef\xbb\xbf[\r\n {"a": "b\\n"},\n {"a":\n "c"} ,\n {"a": "d"}\n]\n'
    assert read(data) == [
        Row("f.json:2", {"a": "b\n"}),
        Row("f.json:3", {"a": "c"}),
        Row("f.json:5", {"a": "d"}),
    ]


def test_a_faulty_element_is_rejected_and_the_next_is_read():
    data = b'[{"a": NaN}, {"a": 1, "a": 2}, [3], {"a": "\\ud800"}, {"a": 1e400}, {"a": "good"}]'
    *rejected, last = read(data)
    assert [item.reason for item in rejected if isinstance(item, Exclusion)] == [
        "number out of range", "duplicate key", "not an object", "lone surrogate",
        "number out of range",
    ]  # fmt: skip
    assert last == Row("f.json:1", {"a": "good"})


@pytest.mark.parametrize("data", [b"[]", b" [ ]\n", b"", b"\n", b"\xef\xbb\xbf"])
def test_no_rows(data):
    assert read(data) == []


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b'[{"a": 1},\n {"a": 2}', "f.json:2"),
        (b'[{"a": 1},\n {"a": 2},', "f.json:2"),
        (b'[{"a": 1},\n {"a": 2},]', "f.json:2"),
        (b'[{"a": 1}\n {"a": 2}]', "f.json:2"),
        (b'[{"a": 1},\n {"a": tru', "f.json:2"),
        (b'[{"a": 1}] x', "f.json"),
        (b"7", "f.json:1"),
        (b'"text"', "f.json:1"),
        (b'[{"a": 1},\n {"a": "\xff"}]', "f.json:2"),
        (b"[" * 100_000, "f.json:1"),
    ],
)
def test_a_broken_array_is_one_error_that_names_the_line(data, where):
    with pytest.raises(DataError) as caught:
        read(data)
    assert (caught.value.code, caught.value.where) == ("PT101", where)


def test_a_json_file_of_json_lines_is_read_and_announced():
    items, note = json_rows(io.BytesIO(b'{"a": "b"}\n{"a": "c"}\n'), "f.json")
    assert [item.columns for item in items] == [{"a": "b"}, {"a": "c"}]
    assert "JSON Lines" in note


def test_a_single_object_is_told_apart_from_rows():
    with pytest.raises(DataError, match=r"one JSON object \(keys: `data`, `version`\)"):
        read(b'{"data": [\n {"a": 1}\n], "version": 2}')


def test_a_file_over_the_limit_is_refused():
    with pytest.raises(DataError) as caught:
        read(b'[{"a": "' + b"x" * 1000 + b'"}]', limit=500)
    assert caught.value.code == "PT107"
