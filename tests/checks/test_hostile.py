"""Whatever stands in a file: an examination, or one clear error; never a traceback."""

import csv
import gzip
import io
import json
import random
import subprocess
import sys

import pytest

from preftune.checks.mending.mending import mend
from preftune.checks.run import File, check
from preftune.errors import DataError, PreftuneError
from preftune.sources import stream
from tests.sources.files_written import turn
from tests.sources.mutators import MUTATORS
from tests.sources.test_parquet import BOMBS, bomb

pytestmark = pytest.mark.slow

ASKED, SAID = turn("user", "Is it red?"), turn("assistant", "It is, mostly.")

LAYOUTS = [
    lambda n: {"prompt": f"p{n}é?", "chosen": f"yes 😀 {n}", "rejected": "no", "weight": 0.5},
    lambda n: {"prompt": [ASKED], "chosen": [SAID], "rejected": [turn("assistant", f"{n}")]},
    lambda n: {
        "chosen": f"\n\nHuman: {n}\n\nAssistant: a",
        "rejected": f"\n\nHuman: {n}\n\nAssistant: b",
    },
    lambda n: {"prompt": f"{n % 50}", "completion": f"c{n}", "label": bool(n % 2)},
    lambda n: {"prompt": "a b c", "responses": ["x", "y", f"{n}"], "scores": [1, 2.5, n]},
    lambda n: {"prompt": "a", "response_a": f"x{n}", "response_b": "y", "verdict": "ab"[n % 2]},
    lambda n: {"messages": [ASKED, turn("assistant", f"{n}")]},
    lambda n: {"instruction": f"do {n}", "input": "", "output": "done", "system": "Be kind."},
]


def lines_of(layout, number, rng, whole=0):
    """Rows as bytes; from the number `whole` on two of three are broken, some of them twice."""
    lines = []
    for n in range(number):
        row = rng.choice(LAYOUTS)(n) if rng.random() < 0.02 and n >= whole else layout(n)
        line = json.dumps(row, ensure_ascii=bool(n % 2)).encode()
        for _ in range(n % 3 if n >= whole else 0):
            line = rng.choice(MUTATORS)(line, rng).replace(b"\n", b" ")
        lines.append(line)
    return lines


def examined(path, **options):
    """The examination, whose every row is accounted for; none where the file was refused."""
    try:
        found = check(str(path), **options)
    except PreftuneError:
        return None
    assert found.rows == found.used + sum(found.excluded.values())
    assert all(0 <= row < found.used for row in found.drops)
    json.dumps(found.figures, allow_nan=False)
    for one in found.findings:
        assert 0 <= one.count <= one.total
        assert one.sentence
        assert all(example.source for example in one.examples)
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_of_ten_thousand_mutated_lines_every_one_is_accounted_for(tmp_path, layout):
    rng = random.Random(LAYOUTS.index(layout))
    lines = [*lines_of(layout, 1_250, rng, whole=100), json.dumps(layout(1)).encode()]
    path = tmp_path / "hostile.jsonl"
    path.write_bytes(b"\n".join(lines))
    found = examined(path, depth="quick")
    assert found is not None
    assert found.rows == len(lines)
    assert 300 < found.used < 1_250


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_left_of_mutated_lines_is_mended(tmp_path, layout):
    rng = random.Random(LAYOUTS.index(layout))
    path = tmp_path / "hostile.jsonl"
    path.write_bytes(b"\n".join(lines_of(layout, 300, rng, whole=100)))
    examination = check(str(path), depth="quick")
    mended = mend(File(str(path)), examination, tmp_path / "mended.jsonl")
    assert mended.rows == examination.rows
    again = examined(mended.out, depth="quick")
    assert (again.used, again.rows) == (mended.written, mended.written)


@pytest.mark.parametrize("seed", range(4))
def test_files_whose_first_rows_are_broken_are_read_or_refused(tmp_path, seed):
    rng = random.Random(seed)
    path, read = tmp_path / "hostile.jsonl", 0
    for _ in range(25):
        lines = lines_of(rng.choice(LAYOUTS), rng.randrange(1, 20), rng)
        path.write_bytes(b"\n".join(lines) or b"\n")
        read += examined(path, depth="quick") is not None
    assert read > 5


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".json"])
def test_mutated_tables_and_arrays_are_read_or_refused(tmp_path, ending):
    rng = random.Random(7)
    path, read = tmp_path / f"hostile{ending}", 0
    for number in range(15):
        data = table(ending, number + 3)
        for _ in range(number % 4):
            data = rng.choice(MUTATORS)(data, rng)
        path.write_bytes(data)
        read += examined(path, depth="quick") is not None
    assert read > 3


def table(ending, number):
    rows = [LAYOUTS[0](n) for n in range(number)]
    if ending == ".json":
        return json.dumps(rows, indent=1).encode()
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], delimiter="\t" if ending == ".tsv" else ",")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


LONG = 10_000
UGLY = [
    " ", "\n", "a", "\u200b", "Â", "<|", "[INST]", "### ", "Human:", "\n\nHuman: ", "- ", "```",
    "* * ", "?!", "\ufffd", "é", "1. ", "|", "a ", "A. ", "😀", "’", "<s>", "\u0301", "中", "\t",
]  # fmt: skip


@pytest.mark.parametrize("depth", ["quick", "full"])
def test_long_texts_of_one_piece_are_examined(tmp_path, depth):
    rows = []
    for piece in UGLY:
        text = piece * (LONG // len(piece))
        rows.append({"prompt": f"{piece}?", "chosen": f"x{text}x", "rejected": f"{text}y"})
        rows.append({"prompt": f"x{text}", "chosen": f"y{text}", "rejected": f"x{piece}"})
    path = tmp_path / "long.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert examined(path, depth=depth).rows == len(rows)


def member(data):
    """One gzip member; a file of many is a file of all their data."""
    return gzip.compress(data, 9)


ROW = json.dumps({"prompt": "p?", "chosen": "c" * 5_000, "rejected": "r" * 5_000}).encode()
GZIP = {
    "one line of ten gigabytes": (b"0" * (100 << 20), 100),
    "a billion blank lines": (b"\n" * (100 << 20), 10),
    "a billion rows without a column": (b"{}\n" * (33 << 20), 30),
    "rows of ten million values": (b'{"a":[' + b"0," * (10 << 20) + b"0]}\n", 500),
    "five gigabytes of valid rows": ((ROW + b"\n") * 10_000, 50),
}

START = {".json.gz": b"[", ".csv.gz": b'prompt,chosen,rejected\n"'}

MEASURE = """
import re, resource, sys
from preftune.checks.run import check
from preftune.errors import PreftuneError
try:
    told = check(sys.argv[1], depth="quick").verdict
except PreftuneError as error:
    told = error.code
own = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) >> 10
print(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10, told)
"""


def measured(path):
    """Peak megabytes of an examination and of its child, and what it said."""
    command = [sys.executable, "-c", MEASURE, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    own, child, said = told.split(maxsplit=2)
    return int(own), int(child), said.strip()


@pytest.mark.parametrize("ending", [".jsonl.gz", ".json.gz", ".csv.gz"])
@pytest.mark.parametrize("name", GZIP)
def test_a_gzip_bomb_is_refused_within_a_gigabyte(tmp_path, name, ending):
    data, times = GZIP[name]
    path = tmp_path / f"bomb{ending}"
    path.write_bytes(member(START.get(ending, b"")) + member(data) * times)
    own, _, said = measured(path)
    assert own < 1_024
    assert said == "PT107"


def test_what_is_large_without_being_packed_is_streamed(tmp_path):
    rng = random.Random(0)
    noise = [rng.randbytes(8_000).hex() for _ in range(64)]
    path = tmp_path / "large.jsonl.gz"
    with gzip.open(path, "wb", 1) as file:
        for number in range(5_500):
            row = {"prompt": f"{number}?", "chosen": noise[number % 64], "rejected": "no"}
            file.write(json.dumps(row).encode() + b"\n")
    own, _, said = measured(path)
    assert own < 1_024
    assert said.startswith(("mend", "usable"))


@pytest.mark.parametrize("name", BOMBS)
def test_a_parquet_bomb_is_refused_within_a_gigabyte(tmp_path, name):
    path = bomb(tmp_path / "bomb.parquet", *BOMBS[name])
    own, child, said = measured(path)
    assert max(own, child) < 1_024
    assert said in {"PT103", "PT107"}


@pytest.mark.parametrize("ending", [".jsonl.gz", ".json.gz", ".csv.gz"])
def test_what_unpacks_to_a_thousand_times_its_size_is_refused_before_it_is_read(tmp_path, ending):
    path = tmp_path / f"bomb{ending}"
    path.write_bytes(member(START.get(ending, b"") + (ROW + b"\n") * 10_000))
    with pytest.raises(DataError) as caught:
        check(str(path))
    assert caught.value.code == "PT107"


def test_a_bomb_after_good_rows_is_refused_on_the_way(tmp_path):
    rng = random.Random(0)
    text = rng.randbytes(500_000).hex()
    good = json.dumps({"prompt": "p", "chosen": text, "rejected": "no"}).encode() + b"\n"
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(member(good) + member((ROW + b"\n") * 10_000) * 2)
    with pytest.raises(DataError) as caught:
        for _ in stream(str(path)).items:
            pass
    assert caught.value.code == "PT107"
