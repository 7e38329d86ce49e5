"""The demo as `preftune demo` runs it."""

import json

import pytest

from preftune.cli.demo import page
from preftune.recipes.demo.experiment import ASSETS, demo, unseen_prompts
from preftune.training.runfile import resolve


@pytest.mark.slow
def test_sentiment_rises_clearly_at_a_few_nats_and_text_stays_text(tmp_path):
    result = demo(tmp_path / "demo")
    comparison = result.comparison
    assert comparison is not None
    assert comparison.score.difference.low > 0.05
    assert comparison.win_rate.low > 0.55
    assert 1 < comparison.kl.value < 8
    assert comparison.perplexity.after.value < 2 * comparison.perplexity.before.value
    assert result.training.held_out["accuracy"] > 0.6
    assert result.plot is not None
    assert result.plot.stat().st_size > 10_000
    estimates = json.loads((tmp_path / "demo" / "estimates.json").read_text())
    assert estimates["kl"]["value"] == comparison.kl.value
    assert "better (256 unseen prompts)" in "\n".join(page(comparison))


def test_its_run_file_names_known_settings(tmp_path):
    keys = {"model": "m", "data.train": "d", "out": str(tmp_path)}
    assert resolve(ASSETS / "run.yaml", keys).settings.objective["beta"] == 0.1


def test_it_compares_on_enough_prompts():
    assert len(set(unseen_prompts())) == 256
