"""The benchmark of the training step measures what it says, and runs from end to end."""

import json
import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.step.data import BATCH, Pair, by_length, lengths_of, typical, whole_file
from benchmarks.step.floor import step_flops
from benchmarks.step.ladder import climb
from benchmarks.step.shapes import SHAPES
from benchmarks.step.tables import write
from preftune.batching import pack
from preftune.models import LogProbModel, load_model
from tests.field.with_trl import WITH_TRL

ROOT = Path(__file__).parents[2]


def drawn(count: int, seed: int = 0) -> list[Pair]:
    random = np.random.default_rng(seed)
    sizes = random.integers(1, [60, 30, 30], (count, 3)).tolist()
    return [Pair(*(random.integers(2, 250, size).tolist() for size in row)) for row in sizes]


def test_a_schedule_stands_for_its_file():
    pairs = drawn(400)
    schedule = typical(pairs, 4)
    assert [len(batch) for batch in schedule] == [BATCH] * 4
    found, whole = vars(lengths_of(schedule)), vars(whole_file(pairs))
    assert all(found[name] == pytest.approx(whole[name], rel=0.05) for name in whole)


def test_sorting_by_length_changes_the_order_alone():
    schedule = typical(drawn(200), 3)
    ordered = by_length(schedule)
    assert sorted(map(id, chain(*ordered))) == sorted(map(id, chain(*schedule)))
    assert lengths_of(ordered).padded == lengths_of(schedule).padded_sorted


def test_visible_pairs_are_those_of_the_mask():
    pair = Pair([1] * 3, [1] * 4, [1] * 2)
    branch = np.array([0] * 3 + [1] * 4 + [2] * 2)
    allowed = (branch[None] == branch[:, None]) | (branch[None] == 0)
    assert pair.visible == np.tril(allowed).sum()


def test_the_floor_counts_what_a_layer_multiplies():
    shape = SHAPES["toy"]
    pair = Pair([1] * 5, [1] * 2, [1] * 3)
    layer = 32 * (32 + 16 + 16 + 32 + 64 + 64) + 64 * 32
    layers = 6 * 2 * layer * pair.unique
    attention = 12 * 32 * pair.visible * 2
    assert step_flops(shape, [pair]) == layers + attention + 8 * 32 * 1024 * 5


@pytest.mark.parametrize("rung", ["padded", "responses", "fused", "packed", "shared"])
def test_every_rung_gives_the_same_log_probs(tiny_model, rung):
    batch = pack([pair.group() for pair in drawn(3)])
    expected = LogProbModel(load_model(str(tiny_model), dtype="float32"))(batch)
    policy, reference = climb(rung, LogProbModel(load_model(str(tiny_model), dtype="float32")))
    found = policy(batch, reference=reference)
    torch.testing.assert_close(found.tokens, expected.tokens, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.reference, expected.tokens, rtol=0, atol=1e-4)
    assert found.tokens.requires_grad


def test_tables_are_put_between_their_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Before\n<!-- measured: hh -->\nold\n<!-- end: hh -->\nafter\n")
    write("new", page, "hh")
    assert page.read_text() == ("# Before\n<!-- measured: hh -->\n\nnew\n<!-- end: hh -->\nafter\n")
    with pytest.raises(SystemExit, match="no place"):
        write("new", page, "another")


@pytest.mark.slow
@WITH_TRL[0]
def test_it_runs_from_end_to_end(tmp_path, shared):
    file, page, plot = (tmp_path / name for name in ("found.json", "found.md", "growth.png"))
    command = [sys.executable, "-m", "benchmarks.step", "--quick", "--rounds", "2"]
    outputs = ["--json", str(file), "--markdown", str(page), "--plot", str(plot)]
    subprocess.run([*command, *outputs], cwd=ROOT, check=True)
    document = json.loads(file.read_text())
    full, lora = document["comparisons"]
    assert [full["lora"], lora["lora"]] == [False, True]
    for one in (full, lora):
        assert one["loss_difference"] < 1e-3
        theirs, ours = one["measured"]
        assert len(theirs["seconds"]) == len(ours["seconds"]) == 2
        assert 0 < ours["peak"] < theirs["peak"]
    assert {row["way"] for row in document["head"]} == {"plain", "fused"}
    plain, fused = (row["mean_log_prob"] for row in document["head"])
    assert fused == pytest.approx(plain, rel=1e-4)
    assert document["ladder"]
    assert plot.stat().st_size > 0
    assert "| toy, hh, float32, LoRA |" in page.read_text()
