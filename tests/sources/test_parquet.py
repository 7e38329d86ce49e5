import datetime
import os
import random
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from preftune.errors import DataError
from preftune.records import Exclusion
from preftune.sources import read
from preftune.sources.parquet import parquet_rows
from preftune.sources.rows import Row
from tests.sources.files_written import PAIR, turn


def write(path, columns, **options):
    pq.write_table(pa.table(columns), path, **options)
    return path


def test_rows_come_back_exactly_over_row_groups(tmp_path):
    texts = [f"row {number} \u2028\u0085\n😀" for number in range(1_000)]
    path = write(tmp_path / "d.parquet", {"prompt": texts, "n": range(1_000)}, row_group_size=70)
    rows = list(parquet_rows(path, "d.parquet"))
    assert rows[69] == Row("d.parquet:70", {"prompt": texts[69], "n": 69})
    assert [row.columns["prompt"] for row in rows] == texts


def test_a_file_of_pairs_as_text_and_as_messages(tmp_path):
    text = write(tmp_path / "t.parquet", {key: [value] for key, value in PAIR.items()})
    assert read(str(text)).groups[0].form == "text"
    sides = {
        word: [[turn("user", PAIR["prompt"]), turn("assistant", PAIR[word])]]
        for word in ("chosen", "rejected")
    }
    group = read(str(write(tmp_path / "m.parquet", sides))).groups[0]
    assert group.prompt[0].content == PAIR["prompt"]
    assert group.responses[1].turns[0].content == PAIR["rejected"]


def test_nothing_but_text_becomes_text(tmp_path):
    columns = {
        "prompt": ["a"] * 3,
        "chosen": [b"bytes"] * 3,
        "rejected": [datetime.date(2020, 1, 1)] * 3,
        "score": [float("nan")] * 3,
    }
    path = write(tmp_path / "d.parquet", columns)
    row = next(parquet_rows(path, "d"))
    assert row.columns["chosen"] == {"bytes": "b'bytes'"}
    assert row.columns["rejected"] == {"date": "2020-01-01"}
    with pytest.raises(DataError) as caught:
        read(str(path))
    assert caught.value.code == "PT104"


def test_only_the_row_with_broken_bytes_is_rejected(tmp_path):
    raw = pa.array([b"fine", b"\xff\xfe", b"fine too"], pa.binary())
    broken = pa.StringArray.from_buffers(3, raw.buffers()[1], raw.buffers()[2])
    path = write(tmp_path / "d.parquet", {"text": broken})
    items = list(parquet_rows(path, "d"))
    assert isinstance(items[1], Exclusion)
    assert (items[1].source, items[1].reason) == ("d:2", "not UTF-8")
    assert [items[0].columns, items[2].columns] == [{"text": "fine"}, {"text": "fine too"}]


def test_two_columns_of_one_name_are_refused(tmp_path):
    table = pa.table([["a"], ["b"]], names=["chosen", "chosen"])
    pq.write_table(table, tmp_path / "d.parquet")
    with pytest.raises(DataError, match="same name"):
        list(parquet_rows(tmp_path / "d.parquet", "d"))


def test_leaving_early_ends_the_child(tmp_path):
    path = write(tmp_path / "d.parquet", {"text": ["x" * 1_000] * 20_000})
    rows = parquet_rows(path, "d")
    next(rows)
    before = _children()
    rows.close()
    assert len(before) == 1
    assert _children() == []


def _children():
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return file.read().split()


def bomb(path, value, rows, columns=("prompt",)):
    """Columns with one value in its dictionary and its index as one long run: a few bytes."""
    indices = pa.array(np.zeros(rows, np.int32))
    column = pa.DictionaryArray.from_arrays(indices, pa.array([value]))
    table = pa.table(dict.fromkeys(columns, column))
    pq.write_table(table, path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 100_000
    return path


BOMBS = {
    "long texts": ("x" * 2_000_000, 50_000),
    "short texts": ("x" * 100, 5_000_000),
    "empty texts": ("", 5_000_000),
    "one text longer than a line may be": ("x" * 100_000_000, 100),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_decodes_to_more_than_the_budget_is_refused(tmp_path, name):
    path = bomb(tmp_path / "bomb.parquet", *BOMBS[name])
    with pytest.raises(DataError) as caught:
        for _ in parquet_rows(path, "bomb", budget=16 << 20):
            pass
    assert (caught.value.code, caught.value.where) == ("PT107", "bomb")


@pytest.mark.slow
def test_one_row_that_decodes_to_more_than_the_budget_is_refused(tmp_path):
    path = tmp_path / "bomb.parquet"
    row = pa.ListArray.from_arrays([0, 30_000_000], pa.array(np.zeros(30_000_000, np.int8)))
    pq.write_table(pa.table({"prompt": row}), path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 3_000
    with pytest.raises(DataError) as caught:
        list(parquet_rows(path, "bomb", budget=16 << 20))
    assert caught.value.code == "PT107"


MEASURE = """
import re, resource, sys
from preftune.errors import DataError
from preftune.sources import read
try:
    read(sys.argv[1])
except DataError as error:
    # Not RUSAGE_SELF: that keeps the peak of the test run which this process was forked from.
    own = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) >> 10
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    print(error.code, own, child)
"""


@pytest.mark.slow
def test_a_bomb_is_refused_within_a_gigabyte_by_parent_and_child(tmp_path):
    pair = ("prompt", "chosen", "rejected")
    path = bomb(tmp_path / "bomb.parquet", "x" * 2_000_000, 50_000, pair)
    command = [sys.executable, "-c", MEASURE, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    code, own, child = told.split()
    assert code == "PT107"
    assert int(own) < 1_024
    assert int(child) < 1_024


def damaged(data, number):
    """Byte flips, a cut, or zeros, in turn; the first bytes stay, or the name would not fit."""
    rng = random.Random(number)
    changed = bytearray(data)
    if number % 3 == 0:
        return data[: rng.randrange(4, len(data))]
    for _ in range(rng.choice([1, 4, 32])):
        at = rng.randrange(4, len(data))
        changed[at] = 0 if number % 3 == 1 else rng.randrange(256)
    return bytes(changed)


@pytest.mark.slow
def test_damaged_files_never_take_the_parent_down(tmp_path):
    rows = {key: [f"{value} {number}" for number in range(500)] for key, value in PAIR.items()}
    data = write(tmp_path / "d.parquet", rows).read_bytes()
    codes = set()
    for number in range(30):
        path = tmp_path / f"{number}.parquet"
        path.write_bytes(damaged(data, number))
        try:
            reading = read(str(path), bad_rows="skip")
            assert reading.intake.rows == len(reading.groups) + len(reading.intake.exclusions)
        except DataError as error:
            codes.add(error.code)
    assert "PT101" in codes
    assert codes <= {"PT101", "PT102", "PT103", "PT106", "PT107"}


@pytest.mark.parametrize("kept", [4, 40, 400])
def test_a_half_written_file_is_one_clear_error(tmp_path, kept):
    rows = {key: [value] * 50 for key, value in PAIR.items()}
    path = write(tmp_path / "d.parquet", rows)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError) as caught:
        read(str(path))
    assert caught.value.code == "PT101"
    assert caught.value.problem.count("\n") == 0
