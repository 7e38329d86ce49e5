"""A short training that leaves nothing behind but its figures."""

import math

import pytest

from preftune.evaluation.trial import trial
from preftune.training.runfile import resolve


def keys(model, data, out, **more):
    return {
        "model": str(model), "data.train": str(data), "objective": "dpo", "out": str(out),
        "optimizer.pairs_per_step": 8, "optimizer.lr": 1e-2, "data.held_out": 0.2, **more,
    }  # fmt: skip


def test_a_trial_learns_foresees_and_keeps_nothing(tiny_model, tiny_pairs, tmp_path):
    resolved = resolve(None, keys(tiny_model, tiny_pairs, tmp_path / "out"))
    found = trial(resolved, 1.0)
    assert found.steps >= 2
    assert found.train[0].loss == pytest.approx(math.log(2), abs=1e-5)
    assert found.held_out is not None
    before, after = found.held_out
    assert before.loss == pytest.approx(math.log(2), abs=1e-5)
    assert after.loss != before.loss
    assert found.num_steps == 6
    assert found.forecast > 0
    assert found.peak > 2**20
    assert found.answers is not None
    assert found.answers.prompt.startswith("Question ")
    assert not list(tmp_path.iterdir())


def test_without_a_reference_and_without_a_split(tiny_model, tiny_pairs, tmp_path):
    more = {"objective": "simpo", "data.held_out": 0.0}
    found = trial(resolve(None, keys(tiny_model, tiny_pairs, tmp_path / "out", **more)), 0.1)
    assert found.steps >= 2
    assert found.held_out is None
    assert found.answers is None
