"""Whole plans, from a folder without weights; what doesn't fit and what would help."""

import shutil
from dataclasses import replace

import pytest

import preftune.training.plan.plan as planning
from preftune.errors import ConfigError
from preftune.training.plan.decision import decided
from preftune.training.plan.machine import parse_bytes
from preftune.training.plan.memory import plan_memory
from preftune.training.plan.remedies import with_settings
from preftune.training.runfile import resolve
from tests.training.plan.cases import case_of, settings_of


@pytest.fixture
def without_weights(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "start")
    (folder / "model.safetensors").unlink()
    return folder


def keys(model, data, tmp_path, **more):
    return {
        "model": str(model), "data.train": str(data), "objective": "dpo",
        "out": str(tmp_path / "out"), "optimizer.pairs_per_step": 16, **more,
    }  # fmt: skip


def test_a_plan_needs_no_weights_and_writes_nothing(without_weights, tiny_pairs, tmp_path):
    resolved = resolve(None, keys(without_weights, tiny_pairs, tmp_path))
    found = planning.plan(resolved, price=3.0)
    assert found.fits
    assert not found.remedies
    assert found.work.steps == -(-57 // 16)
    assert found.work.tokens < found.work.unshared_tokens < found.work.padded_tokens
    assert found.disk.checkpoint == 3 * 4 * found.memory.parameters + 4 * 20  # a count a weight
    assert found.disk.model == 4 * found.memory.parameters
    assert found.cost == pytest.approx(3.0 * found.time.seconds / 3600)
    assert [path.name for path in tmp_path.iterdir()] == ["start"]


@pytest.mark.slow
def test_what_does_not_fit_comes_with_ranked_remedies(without_weights, tiny_pairs, tmp_path):
    resolved = resolve(None, keys(without_weights, tiny_pairs, tmp_path))
    found = planning.plan(resolved, memory=2**20)
    assert not found.fits
    assert found.checkpointing  # tried, and not enough
    peak = found.memory.peak.total
    savings = [remedy.saved for remedy in found.remedies]
    assert savings == sorted(savings, reverse=True)
    assert all(remedy.peak + remedy.saved == peak for remedy in found.remedies)
    names = {key for remedy in found.remedies for key in remedy.settings}
    assert "lora.rank" in names
    assert "checkpoint_activations" not in names


@pytest.mark.slow
def test_a_remedy_s_peak_is_that_of_a_plan_with_it(without_weights, tiny_pairs, tmp_path):
    more = {"checkpoint_activations": False}
    resolved = resolve(None, keys(without_weights, tiny_pairs, tmp_path, **more))
    found = planning.plan(resolved, memory=2**20)
    for remedy in found.remedies[:2]:
        again = planning.plan(
            replace(resolved, settings=with_settings(resolved.settings, remedy.settings)),
            memory=2**20,
        )
        parts = [dict(plan.memory.peak.parts) for plan in (found, again)]
        for each in parts:
            each.pop("process")  # grows while the test runs
        assert sum(parts[0].values()) - sum(parts[1].values()) == remedy.saved


def test_auto_computes_again_only_where_activations_would_not_fit():
    case = case_of("llama", checkpoint_activations="auto", layers=6)
    kept = plan_memory(replace(case, settings=settings_of(checkpoint_activations=False)))
    peak = kept.peak.total
    roomy, found = decided(case, 2 * peak)
    assert roomy.settings.checkpoint_activations is False
    assert found.peak.total == peak
    tight, found = decided(case, peak)  # nine tenths of it are not enough
    assert tight.settings.checkpoint_activations is True
    assert found.peak.total < peak


@pytest.mark.parametrize("asked", [True, False])
def test_what_was_asked_for_is_obeyed(asked):
    case = case_of("llama", checkpoint_activations=asked)
    assert decided(case, 1)[0].settings.checkpoint_activations is asked


def test_settings_can_be_changed_by_dotted_keys():
    changed = with_settings(settings_of(), {"lora.rank": 8, "optimizer.max_grad_norm": None})
    assert changed.lora is not None
    assert (changed.lora.rank, changed.optimizer.max_grad_norm) == (8, None)


@pytest.mark.parametrize("text", ["", "24 apples", "0GiB", "GiB", "-3MB"])
def test_no_amount_of_memory(text):
    with pytest.raises(ConfigError, match="24GiB"):
        parse_bytes(text)
