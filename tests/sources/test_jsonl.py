import io
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preftune.errors import DataError
from preftune.records import Exclusion
from preftune.sources.jsonl import MOST_BLANK, jsonl_rows
from preftune.sources.rows import Row
from preftune.sources.strict_json import MAX_VALUES
from tests.sources.mutators import MUTATORS

LIMIT = 1_000_000


def read(data: bytes, **options):
    return list(jsonl_rows(io.BytesIO(data), "f.jsonl", **options))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": NaN}', "number out of range"),
        (b'{"a": -Infinity}', "number out of range"),
        (b'{"a": [1e999]}', "number out of range"),
        (b'{"a": ' + b"9" * 5000 + b"}", "number out of range"),
        (b'{"a": 1, "a": 2}', "duplicate key"),
        (b'{"x": [{"a": 1, "a": 1}]}', "duplicate key"),
        (rb'{"a": "\ud800"}', "lone surrogate"),
        (rb'{"a": "\uDC00 \uD83D"}', "lone surrogate"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": "caf\xe9"}', "not UTF-8"),
        (b"null", "not an object"),
        (b"[1, 2]", "not an object"),
        (b'"text"', "not an object"),
        (b'{"a": 1', "not JSON"),
        (b'{"a": 1} {"b": 2}', "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": "tab\there"}', "not JSON"),
        (b'{"a": "b",}', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}", "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"", "blank line"),
        (b" \t\r", "blank line"),
        (b'{"a": "' + b"x" * LIMIT + b'"}', "line too long"),
    ],
)
def test_a_broken_line_is_rejected_with_file_line_offset_and_reason(line, reason):
    data = b'{"a": "b"}\n' + line + b'\n{"c": "d"}\n'
    before, rejected, after = read(data, limit=LIMIT)
    assert before == Row("f.jsonl:1", {"a": "b"})
    assert after == Row("f.jsonl:3", {"c": "d"})
    assert isinstance(rejected, Exclusion)
    assert (rejected.source, rejected.reason) == ("f.jsonl:2", reason)
    assert rejected.detail.startswith("byte 11: ")


@pytest.mark.parametrize(
    "text",
    ["a\u2028b\u2029c", "a\u0085b", "\ufeff in the middle", "😀 \\ud83d", "a\r\nb", "\x00\x1f\x7f"],
)
def test_accepted_text_is_exact(text):
    for ascii_only in (True, False):
        line = json.dumps({"text": text}, ensure_ascii=ascii_only).encode()
        assert read(line + b"\n" + line) == [
            Row("f.jsonl:1", {"text": text}),
            Row("f.jsonl:2", {"text": text}),
        ]


def test_a_byte_order_mark_and_carriage_returns_are_no_part_of_a_row():
    data = b'\xef\xbb\xbf{"a": "b"}\r\n{"a": "c"}\r\n'
    assert [item.columns for item in read(data)] == [{"a": "b"}, {"a": "c"}]


def test_blank_lines_at_the_end_are_nothing_and_others_are_rejected():
    assert len(read(b'{"a": 1}\n\n \r\n\n')) == 1
    items = read(b'\n{"a": 1}\n\n{"a": 2}\n')
    rejected = [item for item in items if isinstance(item, Exclusion)]
    assert [(item.source, item.reason) for item in rejected] == [
        ("f.jsonl:1", "blank line"),
        ("f.jsonl:3", "blank line"),
    ]
    assert read(b"") == []
    assert read(b"\xef\xbb\xbf\n") == []


def test_blank_lines_without_end_are_refused():
    blank = b"\n" * MOST_BLANK
    assert len(read(b'{"a": 1}\n' + blank + b'{"a": 2}')) == MOST_BLANK + 2
    with pytest.raises(DataError) as caught:
        read(b'{"a": 1}\n\n' + blank)
    assert (caught.value.code, caught.value.where) == ("PT101", f"f.jsonl:{MOST_BLANK + 2}")


def test_a_line_of_nothing_but_brackets_is_rejected_before_it_fills_the_memory():
    line = b'{"a": [' + b"[]," * MAX_VALUES + b"[]]}"
    (rejected,) = read(line)
    assert rejected.reason == "too many values"
    commas = json.dumps({"a": "well, " * 500_000}).encode()
    assert isinstance(read(commas)[0], Row)


def test_a_depth_of_one_hundred_is_read():
    deep = b'{"a": ' + b"[" * 98 + b"]" * 98 + b"}"
    wide = b'{"a": [' + b"[]," * 500 + b"[]]}"
    assert all(isinstance(item, Row) for item in read(deep + b"\n" + wide))


def test_ten_thousand_mutated_lines_are_all_read_or_rejected_with_their_place():
    rng = random.Random(0)
    lines = []
    for number in range(10_000):
        row = {"prompt": f"p{number}é", "chosen": "yes 😀", "score": 0.5, "turns": [{"role": "u"}]}
        line = json.dumps(row, ensure_ascii=bool(number % 2)).encode()
        for _ in range(number % 3):
            line = rng.choice(MUTATORS)(line, rng).replace(b"\n", b" ")
        lines.append(line)
    lines.append(b'{"last": "line"}')
    items = read(b"\n".join(lines), limit=5_000)
    assert len(items) == len(lines)
    offset, rejected = 0, 0
    for number, (line, item) in enumerate(zip(lines, items, strict=True), 1):
        if isinstance(item, Exclusion):
            rejected += 1
            assert item.source == f"f.jsonl:{number}"
            assert item.reason
            assert item.detail.startswith(f"byte {offset}: ")
        else:
            assert item.place == f"f.jsonl:{number}"
            bare = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            assert item.columns == json.loads(bare)
            json.dumps(item.columns, ensure_ascii=False, allow_nan=False).encode()
        offset += len(line) + 1
    assert 1_000 < rejected < 9_000


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.booleans() | st.none()))
def test_any_object_of_text_comes_back_as_it_was(columns):
    data = json.dumps(columns, ensure_ascii=False).encode()
    assert read(data) == [Row("f.jsonl:1", columns)]
