"""`preftune check` as a user meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from preftune.checks.codes import MEANINGS

PROMPTS = ["Name a red fruit.", "What floats?", "Who wrote Emma?", "How far is the moon?"]
ANSWERS = [
    ("A cherry is red.", "A lime is green."),
    ("Wood floats.", "Lead sinks."),
    ("Jane Austen did.", "I forgot who it was."),
    ("It is 384,400 km away.", "It is far away."),
]
PAIRS = [
    {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    for prompt, (chosen, rejected) in zip(PROMPTS, ANSWERS, strict=True)
]


def write(path, rows):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def test_the_page_begins_with_the_verdict_and_names_the_line(preftune, tmp_path):
    file = write(tmp_path / "pairs.jsonl", [*PAIRS, "{broken"])
    done = preftune("check", file, "--quick")
    assert done.returncode == 1
    assert done.stdout.startswith(f"{file}: mend it first: 1 error")
    assert f"{file}:5" in done.stdout
    assert "5 rows: 4 used, 1 excluded" in done.stdout
    for part in ("why  ", "fix  ", "PC100  Broken rows"):
        assert part in done.stdout


def test_json_is_one_versioned_document(preftune, tmp_path):
    file = write(tmp_path / "pairs.jsonl", [*PAIRS, "{broken"])
    done = preftune("check", file, "--quick", "--json")
    document = json.loads(done.stdout)
    assert document["version"] == 1
    assert document["rows"] == document["used"] + sum(document["excluded"].values()) == 5
    first = document["findings"][0]
    assert (first["code"], first["severity"], first["share"]) == ("PC100", "error", 0.2)
    assert first["examples"][0]["source"] == f"{file}:5"
    assert {one["code"] for one in document["findings"]} <= set(MEANINGS)


@pytest.mark.parametrize(("level", "code"), [("never", 0), ("error", 0), ("warning", 1)])
def test_fail_on_says_when_a_script_should_stop(preftune, tmp_path, level, code):
    rows = PAIRS * 10
    rows.append({**PAIRS[0], "chosen": " "})  # one empty response in 41 rows: a warning
    distinct = [{**row, "prompt": f"{row['prompt']} ({n})"} for n, row in enumerate(rows)]
    file = write(tmp_path / "pairs.jsonl", distinct)
    done = preftune("check", file, "--quick", "--fail-on", level, "--json")
    severities = {one["severity"] for one in json.loads(done.stdout)["findings"]}
    assert "warning" in severities
    assert "error" not in severities
    assert done.returncode == code


def test_a_file_that_cannot_be_read_is_no_finding(preftune, tmp_path):
    done = preftune("check", tmp_path / "missing.jsonl")
    assert done.returncode == 4
    assert "PT100" in done.stderr
    assert not done.stdout


def test_options_without_effect_are_refused(preftune, tmp_path):
    file = write(tmp_path / "pairs.jsonl", PAIRS)
    done = preftune("check", file, "--trust-remote-code")
    assert done.returncode == 2
    assert "--model" in done.stderr


def test_hostile_text_stays_inert_on_the_terminal(preftune, tmp_path):
    hostile = "\x1b[2J\x1b]0;owned\x07 \u202etxt.exe [bold red]markup[/]"
    rows = [{**PAIRS[0], "prompt": hostile, "strength": 7}, *PAIRS]
    file = write(tmp_path / "pairs.jsonl", [*rows, '{"prompt": "' + hostile + '"}'])
    done = preftune("check", file, "--quick", "--fail-on", "never")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert "\x07" not in done.stdout


@pytest.mark.parametrize("code", ["PC100", "pc400", "PT104"])
def test_explain_knows_findings_and_errors(preftune, code):
    done = preftune("explain", code)
    assert done.returncode == 0
    assert done.stdout.strip()


def in_a_process(*arguments, **streams):
    command = [sys.executable, "-m", "preftune", *map(str, arguments)]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, **streams)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_behind_stdout_is_no_bug_of_ours(tmp_path):
    file = write(tmp_path / "pairs.jsonl", PAIRS)
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = in_a_process("check", file, "--quick", stdout=full)
    assert done.returncode == 3
    assert "PT600" in done.stderr


def test_who_reads_one_line_only_still_gets_the_exit_code(tmp_path):
    file = write(tmp_path / "pairs.jsonl", [*PAIRS, "{broken"])
    reader, writer = os.pipe()
    os.close(reader)
    done = in_a_process("check", file, "--quick", stdout=writer)
    os.close(writer)
    assert done.returncode == 1  # a broken row is an error, whoever reads of it
    assert not done.stderr


def test_the_page_comes_even_where_no_row_can_be_mended(preftune, tmp_path):
    same = {**PAIRS[0], "rejected": PAIRS[0]["chosen"]}
    file = write(tmp_path / "pairs.jsonl", [same] * 3)
    done = preftune("check", file, "--quick", "--fix", tmp_path / "mended.jsonl")
    assert done.returncode == 4
    assert "PC102" in done.stdout
    assert "PT106" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.jsonl"]
