"""`preftune sweep` as a user meets it."""

import contextlib
import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest

from preftune.training.metrics import read_metrics


def words(model, data, out, *more):
    return [
        "sweep", "--model", str(model), "--data", str(data), "--objective", "dpo",
        "--out", str(out), "--grid", "objective.beta=0.05,0.5", "--kl-samples", "0",
        "--set", "optimizer.pairs_per_step=8", "--set", "data.held_out=0.75", *more,
    ]  # fmt: skip


def test_help_needs_no_torch_and_shows_examples():
    code = "import sys; from preftune.cli.main import main\n"
    code += "try: main(['sweep', '--help'])\nfinally: assert 'torch' not in sys.modules"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("\n  preftune sweep") >= 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sweep", "--model", "m", "--data", "d", "--objective", "dpo"], "the grid is empty"),
        (["sweep", "m.yaml", "--grid", "objective.beta=0.1"], "has 1 value"),
        (["sweep", "m.yaml", "--grid", "objective.beta=0.1,0.2"], "PT304"),
        (["sweep", "--model", "m", "--grid", "objective.name=dpo,hinge"], "`data` is missing"),
    ],
)
def test_usage_mistakes_are_told_before_anything_is_loaded(arguments, said, tmp_path, preftune):
    with contextlib.chdir(tmp_path):
        result = preftune(*arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_sweep_prints_its_choice_or_one_json_document(tmp_path, tiny_model, tiny_pairs, preftune):
    given = words(tiny_model, tiny_pairs, tmp_path / "out", "--max-steps", "2")
    shown = preftune(*given)
    assert shown.returncode == 0, shown.stderr
    assert "not measured" in shown.stdout
    assert "2 runs in" in shown.stderr
    document = json.loads(preftune(*given, "--json").stdout)
    assert document["version"] == 1
    assert [run["name"] for run in document["runs"]] == ["beta=0.05", "beta=0.5"]
    assert document["figures"]["beta=0.5"]["accuracy"]["n"] == document["choice"]["prompts"]


def fate(out):
    """Weights and logged figures of both runs."""
    found = []
    for name in ("beta=0.05", "beta=0.5"):
        entries = read_metrics(out / name / "metrics.jsonl")
        for entry in entries:
            entry.pop("tokens_per_second", None)
        weights = (out / name / "model" / "model.safetensors").read_bytes()
        found.append((hashlib.sha256(weights).hexdigest(), entries))
    return found


def start(arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "preftune", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
@pytest.mark.parametrize("stop", [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_stopped_sweep_goes_on_where_it_was(tmp_path, tiny_model, tiny_pairs, preftune, stop):
    number, code = stop
    more = ("--max-steps", "12", "--set", "save_every=3")
    out = tmp_path / "out"
    process = start(words(tiny_model, tiny_pairs, out, *more))
    second = out / "beta=0.5" / "metrics.jsonl"
    while process.poll() is None and len(read_metrics(second)) < 5:
        time.sleep(0.002)
    process.send_signal(number)
    _, talk = process.communicate(timeout=120)
    assert process.returncode == code, talk
    if number == signal.SIGINT:
        printed = re.search(r"^resume: preftune (.*)$", talk, re.MULTILINE)
        assert shlex.split(printed[1]) == words(tiny_model, tiny_pairs, out, *more)
    before = (out / "beta=0.05" / "metrics.jsonl").stat().st_mtime_ns
    again = preftune(*words(tiny_model, tiny_pairs, out, *more))
    assert again.returncode == 0, again.stderr
    assert "resuming from" in again.stderr
    assert (out / "beta=0.05" / "metrics.jsonl").stat().st_mtime_ns == before
    whole = tmp_path / "whole"
    assert preftune(*words(tiny_model, tiny_pairs, whole, *more)).returncode == 0
    assert fate(out) == fate(whole)
