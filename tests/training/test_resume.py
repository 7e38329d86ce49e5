"""Real processes, real signals: whatever stops a run, the same command ends in the same weights."""

import hashlib
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest

from preftune.training.metrics import read_metrics

STEPS = 40


def command(model, data, out, steps=STEPS):
    return [
        sys.executable, "-m", "preftune", "train", "--model", str(model), "--data", str(data),
        "--objective", "dpo", "--out", str(out), "--max-steps", str(steps),
        "--set", "optimizer.pairs_per_step=8", "--set", "optimizer.lr=1e-3",
        "--set", "save_every=3", "--set", "evaluate_every=7",
    ]  # fmt: skip


def start(words):
    return subprocess.Popen(
        words,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(words):
    process = start(words)
    _, talk = process.communicate(timeout=300)
    assert process.returncode == 0, talk
    return talk


def fate(out):
    """What must not depend on how often a run was stopped: weights and logged figures."""
    digest = hashlib.sha256((out / "model" / "model.safetensors").read_bytes()).hexdigest()
    entries = read_metrics(out / "metrics.jsonl")
    for entry in entries:
        entry.pop("tokens_per_second", None)
    return digest, entries


@pytest.fixture(scope="module")
def undisturbed(tiny_model, tiny_pairs, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    finish(command(tiny_model, tiny_pairs, out))
    return fate(out)


def steps_logged(out):
    return sum(entry["split"] == "train" for entry in read_metrics(out / "metrics.jsonl"))


def wait_for(out, steps, process):
    while process.poll() is None and steps_logged(out) < steps:
        time.sleep(0.002)


@pytest.mark.slow
def test_killed_again_and_again_a_run_ends_in_the_same_weights(
    tmp_path, tiny_model, tiny_pairs, undisturbed
):
    out = tmp_path / "run"
    draw = random.Random(0)
    kills = 0
    while kills < 8:
        process = start(command(tiny_model, tiny_pairs, out))
        wait_for(out, steps_logged(out) + 1 + draw.randrange(4), process)
        time.sleep(draw.random() * 0.02)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
    assert kills >= 5
    finish(command(tiny_model, tiny_pairs, out))
    assert fate(out) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("stop", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_saves_and_prints_the_command_that_resumes(
    tmp_path, tiny_model, tiny_pairs, undisturbed, stop
):
    number, code = stop
    out = tmp_path / "run"
    process = start(command(tiny_model, tiny_pairs, out))
    wait_for(out, 5, process)
    process.send_signal(number)
    _, talk = process.communicate(timeout=60)
    assert process.returncode == code, talk
    assert "Traceback" not in talk
    steps = steps_logged(out)
    assert f"after step {steps}" in talk
    assert (out / "checkpoints" / f"step-{steps:08d}").is_dir()
    printed = re.search(r"^resume: preftune (.*)$", talk, re.MULTILINE)
    assert printed
    again = [sys.executable, "-m", "preftune", *shlex.split(printed[1])]
    assert f"resuming from {out}/checkpoints/step-{steps:08d}" in finish(again)
    assert fate(out) == undisturbed


@pytest.mark.slow
def test_a_damaged_checkpoint_is_passed_over_aloud(tmp_path, tiny_model, tiny_pairs, undisturbed):
    out = tmp_path / "run"
    process = start(command(tiny_model, tiny_pairs, out))
    wait_for(out, 12, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    newest = max((out / "checkpoints").glob("step-*"))
    (newest / "optimizer.safetensors").write_bytes(b"torn")
    talk = finish(command(tiny_model, tiny_pairs, out))
    assert f"{newest}: optimizer.safetensors is damaged: passed over" in talk
    assert fate(out) == undisturbed


@pytest.mark.slow
def test_a_second_process_on_the_folder_is_refused(tmp_path, tiny_model, tiny_pairs):
    out = tmp_path / "run"
    words = command(tiny_model, tiny_pairs, out, steps=100_000)
    first = start(words)
    wait_for(out, 2, first)
    second = start(words)
    _, talk = second.communicate(timeout=60)
    first.kill()
    first.communicate()
    assert second.returncode == 5, talk
    assert "error PT502" in talk
    assert str(first.pid) in talk
