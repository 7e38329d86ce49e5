import gzip
import json
import os

import pytest

from preftune.errors import ConfigError, DataError
from preftune.sources import read
from tests.sources.files_written import PAIR, jsonl


def error_of(path, **options):
    with pytest.raises(DataError) as caught:
        read(str(path), **options)
    return caught.value


ROWS = [{**PAIR, "chosen": f"A colour {number}."} for number in range(200)]


LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
CSV = "\r\n".join([",".join(PAIR), *(",".join(row.values()) for row in ROWS)])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("d.ndjson", LINES),
        ("D.JSONL", LINES),
        ("d.jsonl.gz", LINES),
        ("d.json", json.dumps(ROWS)),
        ("d.json.gz", json.dumps(ROWS, indent=2)),
        ("lines.json", LINES),
        ("d.csv", CSV),
        ("d.csv.gz", CSV),
        ("d.tsv", CSV.replace(",", "\t")),
    ],
)
def test_every_kind_of_file_gives_the_same_groups(tmp_path, name, text):
    data = text.encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    wanted = read(jsonl(tmp_path / "wanted.jsonl", ROWS)).groups
    found = read(str(path)).groups
    assert [(g.prompt, g.responses) for g in found] == [(g.prompt, g.responses) for g in wanted]


def test_gzip_is_known_by_its_bytes(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_bytes(gzip.compress(json.dumps(PAIR).encode()))
    assert read(str(path)).intake.used == 1


@pytest.mark.parametrize("name", ["d.jsonl.gz", "d.json.gz", "d.csv.gz"])
@pytest.mark.parametrize("kept", [3, 12, 0.5, 0.99])
def test_a_half_written_gzip_file_is_one_clear_error(tmp_path, name, kept):
    whole = gzip.compress(json.dumps(ROWS).encode() + os.urandom(5_000))
    size = kept if isinstance(kept, int) else int(kept * len(whole))
    (tmp_path / name).write_bytes(whole[:size])
    error = error_of(tmp_path / name, bad_rows="skip")
    assert error.code == "PT101"
    assert "half-written" in error.problem


def test_a_damaged_gzip_file_is_one_clear_error(tmp_path):
    data = bytearray(gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)))
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "d.jsonl.gz").write_bytes(data)
    assert error_of(tmp_path / "d.jsonl.gz", bad_rows="skip").code == "PT101"


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("d.jsonl.gz", b'{"a": 1}\n', "not gzip"),
        ("d.parquet", b'{"a": 1}\n', "not Parquet"),
        ("d.jsonl", b"PAR1....", "but is Parquet"),
        ("d.jsonl", '{"a": 1}\n'.encode("utf-16"), "UTF-16"),
        ("d.txt", b"text\n", "no known kind"),
        ("data", b"text\n", "no known kind"),
    ],
)
def test_a_name_that_does_not_fit_the_bytes(tmp_path, name, data, problem):
    (tmp_path / name).write_bytes(data)
    error = error_of(tmp_path / name)
    assert error.code == "PT101"
    assert problem in error.problem


@pytest.mark.parametrize("name", ["d.jsonl", "d.json", "d.csv", "d.parquet", "d.jsonl.gz"])
def test_an_empty_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    assert error_of(tmp_path / name).code == "PT102"


@pytest.mark.parametrize(
    ("name", "data"), [("d.json", b"[]"), ("d.jsonl", b"\n\n"), ("d.csv", b"a\n")]
)
def test_a_file_without_rows(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    assert error_of(tmp_path / name).code == "PT102"


def test_a_missing_file_names_those_beside_it(tmp_path):
    jsonl(tmp_path / "pairs.jsonl", [PAIR])
    error = error_of(tmp_path / "pair.jsonl")
    assert error.code == "PT100"
    assert "pairs.jsonl" in error.fix
    assert "is missing too" in error_of(tmp_path / "nowhere" / "pairs.jsonl").fix


@pytest.mark.parametrize("name", ["a\x00b.jsonl", "x" * 5_000 + ".jsonl", "", "a b c"])
def test_a_name_that_can_be_no_file(name):
    assert error_of(name).code == "PT100"


def test_a_folder_says_which_files_lie_in_it(tmp_path):
    (tmp_path / "deep").mkdir()
    jsonl(tmp_path / "deep" / "pairs.jsonl", [PAIR])
    (tmp_path / "README.md").write_text("hello")
    error = error_of(tmp_path)
    assert error.code == "PT100"
    assert "data files in it: deep/pairs.jsonl" in error.problem
    assert error.fix == f"name one: {tmp_path / 'deep' / 'pairs.jsonl'}"
    (tmp_path / "deep" / "pairs.jsonl").unlink()
    assert "data files in it: none" in error_of(tmp_path).problem


def test_a_pipe_is_refused_before_it_blocks(tmp_path):
    os.mkfifo(tmp_path / "d.jsonl")
    assert "pipe" in error_of(tmp_path / "d.jsonl").problem


def test_a_file_has_no_splits(tmp_path):
    path = jsonl(tmp_path / "d.jsonl", [PAIR])
    with pytest.raises(ConfigError, match="no splits"):
        read(path, split="train")
