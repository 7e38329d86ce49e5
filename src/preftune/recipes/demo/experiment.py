"""`demo`: tune the embedded model on the embedded pairs, then see whether it is better."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preftune.evaluation import Comparison, compare
from preftune.evaluation.plots import plot_comparison
from preftune.judging import SentimentScorer
from preftune.models import load_config, load_model, load_tokenizer
from preftune.models.limits import token_limit
from preftune.records import Silent, Watch
from preftune.training.folder import write_json, write_text
from preftune.training.prepare import prepare
from preftune.training.run import TrainResult, train
from preftune.training.runfile import bind_objective, resolve

ASSETS = Path(__file__).parent
MOST_NEW_TOKENS = 48
"""Of a sampled response: as long as the longest in the pairs."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo did and found."""

    training: TrainResult
    comparison: Comparison | None
    """None if training was interrupted."""
    plot: Path | None


def demo(out: Path, *, seed: int = 0, watch: Watch | None = None) -> DemoResult:
    """The DPO paper's first experiment in small: steer sentiment, measure reward and KL.

    Trains DPO in the run folder `out`, then samples from the model before and after to prompts
    that no pair holds, scores both and measures what the change cost. Resumes when repeated.

    Raises:
        preftune.errors.PreftuneError: as `train`.

    References:
        Rafailov et al. 2023, arXiv:2305.18290, section 6 (controlled sentiment generation).
    """
    watch = watch or Silent()
    keys: dict[str, Any] = {
        "model": str(ASSETS / "model"),
        "data.train": str(ASSETS / "pairs.jsonl.gz"),
        "out": str(out),
        "seed": seed,
    }
    resolved = resolve(ASSETS / "run.yaml", keys)
    training = train(resolved, watch)
    if training.interrupted is not None:
        return DemoResult(training, None, None)
    tokenizer = load_tokenizer(keys["model"])
    limit = token_limit(None, load_config(keys["model"]))
    data = prepare(resolved.settings, bind_objective(resolved.settings), tokenizer, limit, Silent())
    comparison = compare(
        load_model(keys["model"], dtype="float32"),
        load_model(str(out / "model"), dtype="float32"),
        tokenizer,
        unseen_prompts(),
        SentimentScorer.load(),
        seed=seed,
        max_new_tokens=MOST_NEW_TOKENS,
        pairs=data.held_out,
        watch=watch,
    )
    plot = plot_comparison(
        comparison, out / "metrics.jsonl", out / "demo.png", score_name="P(positive)"
    )
    write_json(out / "estimates.json", {"version": 1, **comparison.to_json()})
    lines = [json.dumps(row, ensure_ascii=False) for row in comparison.sample_rows()]
    write_text(out / "samples.jsonl", "\n".join(lines) + "\n")
    return DemoResult(training, comparison, plot)


def unseen_prompts() -> list[str]:
    """Openings that stand in no pair."""
    lines = (ASSETS / "prompts.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line)["prompt"] for line in lines if line]
