import gzip
import json
from dataclasses import replace

import pytest

from preftune.checks.mending.mending import mend
from preftune.checks.run import File, check
from preftune.errors import ConfigError, DataError
from preftune.sources import read
from preftune.sources.writing import as_row
from preftune.sources.written import needs_of
from tests.checks.planting import plant, real_rows
from tests.sources.files_written import jsonl

EXACT = {
    "PC100", "PC101", "PC102", "PC103", "PC104", "PC105", "PC106", "PC109", "PC110",
    "PC200", "PC300", "PC301", "PC304",
}  # fmt: skip
"""Findings of which a mended copy has none."""


def fix(data, out):
    return mend(File(str(data)), check(str(data), depth="quick"), out)


def log_of(mended):
    return [json.loads(line) for line in mended.log.read_text().splitlines()]


def codes(data):
    return {found.code for found in check(str(data), depth="quick").findings}


def bare(groups):
    return [replace(group, source="", metadata={}) for group in groups]


@pytest.fixture(scope="module")
def faulty(shared, tmp_path_factory):
    """Real pairs with every exact fault, three times each at least."""
    groups = [replace(row, form="chat") for row in real_rows(shared, "ultrafeedback")[:200]]
    for seed, fault in enumerate(
        ["PC103", "PC104", "PC104 lost", "PC105", "PC106", "PC109", "PC110"]
    ):
        groups, planted = plant(groups, fault, 0.03, seed)
        assert len(planted) >= 3
    needs = needs_of(groups)
    rows = [as_row(group, needs) for group in groups]
    good = [row for row in rows if row["score_chosen"] > row["score_rejected"]][:30]
    a, b, c = ([{"role": "assistant", "content": text}] for text in "abc")
    sides = [(a, b), (b, c), (c, a)]
    rows += [
        *({**row, "chosen": []} for row in good[:3]),
        *({**row, "chosen": row["rejected"]} for row in good[3:6]),
        *good[6:9],
        *({**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in good[9:12]),
        *({**good[12], "chosen": one, "rejected": other} for one, other in sides),
        *({**row, "chosen": a, "score_rejected": row["score_chosen"] + 1} for row in good[13:16]),
        {"prompt": 7},
        {"prompt": None},
    ]
    lines = [json.dumps(row).encode() for row in rows]
    path = tmp_path_factory.mktemp("faulty") / "faulty.jsonl"
    path.write_bytes(b"\n".join([*lines, b"{broken", b'{"a": 1e999}', b"\xff\n"]))
    return path


@pytest.fixture(scope="module")
def mended(faulty):
    return fix(faulty, faulty.with_name("mended.jsonl"))


@pytest.mark.slow
def test_a_mended_copy_has_no_exact_faults_left(faulty, mended):
    assert codes(faulty) >= EXACT
    assert not codes(mended.out) & EXACT
    assert mended.rows == len(faulty.read_bytes().splitlines())
    assert mended.written == len(mended.out.read_bytes().splitlines())
    assert mended.written > 150
    told = mended.summary()
    assert f"{mended.rows:,} rows: {mended.written:,} written" in told


def test_the_log_tells_every_change(faulty, mended):
    log = log_of(mended)
    dropped = [change for change in log if change["action"] == "dropped"]
    changed = [change for change in log if change["action"] == "changed"]
    assert len(dropped) == sum(mended.dropped.values()) == mended.rows - mended.written
    assert len(changed) == sum(mended.changed.values())
    assert {change["code"] for change in log} >= EXACT - {"PC110"}  # marks are cut as PC109
    assert len({change["source"] for change in dropped}) == len(dropped)
    for change in log:
        assert change["source"].startswith(f"{faulty}:")
        assert change["what"]
    for change in changed:
        assert change["before"].keys() == change["after"].keys() <= {"prompt", "chosen", "rejected"}
        assert all(change["before"][place] != change["after"][place] for place in change["before"])


def test_rows_that_the_log_does_not_name_are_as_they_were(faulty, mended):
    named = {change["source"] for change in log_of(mended)}
    before = [one for one in read(str(faulty), bad_rows="skip").groups if one.source not in named]
    after = bare(read(str(mended.out)).groups)
    assert len(before) > 100
    assert all(group in after for group in bare(before))


def test_fixing_a_fixed_copy_changes_no_byte(mended, tmp_path):
    twice = fix(mended.out, tmp_path / "twice.jsonl")
    assert twice.out.read_bytes() == mended.out.read_bytes()
    assert twice.log.read_bytes() == b""
    assert "0 dropped; changed: none" in twice.summary()


@pytest.mark.slow
def test_clean_data_stay_as_they_are(shared, tmp_path):
    data = shared / "data/stories-pairs/pairs.jsonl"
    mended = fix(data, tmp_path / "out.jsonl")
    assert read(str(mended.out)).groups == [
        replace(group, source=f"{mended.out}:{number}")
        for number, group in enumerate(read(str(data)).groups, 1)
    ]
    assert log_of(mended) == []


def test_texts_that_are_equal_once_mended_are_kept_once(tmp_path):
    rows = [
        {"prompt": "a?", "chosen": "Yes, it is.", "rejected": "No."},
        {"prompt": "a?", "chosen": "Yes,\u200b it is.", "rejected": "No."},
        {"prompt": "b?", "chosen": "It is\x07 so.", "rejected": "It isn't."},
        {"prompt": "b?", "chosen": "It isn't.", "rejected": "It is so."},
        *({"prompt": f"{n}?", "chosen": f"Yes {n}.", "rejected": f"No {n}."} for n in range(9)),
    ]
    data = jsonl(tmp_path / "data.jsonl", rows)
    assert not codes(data) & {"PC200", "PC300"}
    mended = fix(data, tmp_path / "out.jsonl")
    assert not codes(mended.out) & EXACT
    dropped = {
        change["source"].rpartition(":")[2]: change["code"]
        for change in log_of(mended)
        if change["action"] == "dropped"
    }
    assert dropped["2"] == "PC200"
    assert "PC300" in dropped.values()
    assert mended.written == len(rows) - len(dropped)


def test_a_mapped_file_comes_out_in_our_words(tmp_path):
    rows = [{"q": f"{n}?", "good": f"Yes {n}.", "bad": f"No\x07 {n}.", "id": n} for n in range(5)]
    data = jsonl(tmp_path / "data.jsonl.gz", rows)
    mapping = {"prompt": "q", "chosen": "good", "rejected": "bad"}
    examination = check(data, mapping=mapping, depth="quick")
    mended = mend(File(data, mapping), examination, tmp_path / "out.jsonl")
    first = json.loads(mended.out.read_text().splitlines()[0])
    assert first == {"prompt": "0?", "chosen": "Yes 0.", "rejected": "No 0.", "id": 0}
    assert gzip.decompress((tmp_path / "data.jsonl.gz").read_bytes()).count(b"u0007") == 5


def test_nothing_is_left_where_it_fails(tmp_path):
    data = jsonl(tmp_path / "data.jsonl", [{"prompt": "a", "chosen": "b", "rejected": "b"}])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DataError, match="no row is left") as caught:
        fix(data, tmp_path / "out.jsonl")
    assert caught.value.code == "PT106"
    with pytest.raises(ConfigError, match="the data itself"):
        fix(data, data)
    assert sorted(tmp_path.iterdir()) == before
