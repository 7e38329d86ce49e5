"""Tune the embedded model with every objective over several seeds, and measure what came of it.

    python scripts/docs/compare_objectives.py --out runs/comparison
    python scripts/docs/compare_objectives.py --out runs/comparison --page

The first command trains and measures; repeated, it goes on where it stopped, and several may run at
once over the same folder. The second writes `docs/comparison.md` and its plot from what is there.
"""

import argparse
import json
import os
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from numpy.typing import NDArray

from preftune.batching import fill
from preftune.evaluation.responses import Responses, distinct_bigrams
from preftune.judging import SentimentScorer
from preftune.models import LogProbModel, load_model, load_tokenizer
from preftune.models.reference import score
from preftune.objectives.catalogue import CATALOGUE
from preftune.recipes.demo.experiment import ASSETS, MOST_NEW_TOKENS, unseen_prompts
from preftune.records import Silent, TokenGroup
from preftune.rendering.encoder import Encoder
from preftune.training.prepare import prepare
from preftune.training.run import train
from preftune.training.runfile import Resolved, bind_objective, resolve

Floats = NDArray[np.float64]
LEFT_OUT = {
    "modpo": "the demo judges by one thing only, and this objective trades it against others",
}
BUDGET = 4096
STEPS = 20
"""Half of the demo's: there are many runs."""


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--objectives", nargs="*", default=[n for n in CATALOGUE if n not in LEFT_OUT]
    )
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("--page", action="store_true", help="write docs/comparison.md")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.page:
        from comparison_page import write_page

        write_page(given.out)
        return
    os.environ.setdefault("PREFTUNE_CACHE", str(given.out / "cache"))
    for seed in given.seeds:
        for name in given.objectives:
            _one(given.out, name, seed, given.prompts)


def _one(out: Path, name: str, seed: int, prompts: int) -> None:
    """One run, unless it is done or another process has begun it."""
    result = out / f"{name}-{seed}.json"
    claim = out / f"{name}-{seed}.claim"
    if result.exists():
        return
    try:
        claim.open("x").close()
    except FileExistsError:
        return
    started = time.monotonic()
    resolved = settings_of(name, seed, out / "runs" / f"{name}-{seed}")
    trained = train(resolved)
    seconds = time.monotonic() - started
    figures = measure(resolved, seed, prompts) | {
        "objective": name,
        "seed": seed,
        "steps": trained.steps,
        "train_seconds": seconds,
        "loss_before": trained.held_out_before["loss"],
        "loss_after": trained.held_out["loss"],
    }
    temporary = result.with_suffix(".part")
    temporary.write_text(json.dumps(figures))
    temporary.replace(result)
    claim.unlink()
    reward = np.mean(figures["score_after"]) - np.mean(figures["score_before"])
    print(
        f"{name} seed {seed}: reward {reward:+.3f}, KL {np.mean(figures['kl']):.2f}, "
        f"{time.monotonic() - started:.0f} s",
        flush=True,
    )


def settings_of(name: str, seed: int, out: Path) -> Resolved:
    """The demo's run file with another objective at its defaults."""
    given: dict[str, Any] = {
        "model": str(ASSETS / "model"),
        "data.train": str(ASSETS / "pairs.jsonl.gz"),
        "objective": name,
        "out": str(out),
        "seed": seed,
        "save_every": STEPS,
        "evaluate_every": STEPS,
        "optimizer.max_steps": STEPS,
    }
    if CATALOGUE[name].data == "thumbs":
        given["data.convert"] = "thumbs"
    return resolve(ASSETS / "run.yaml", given)


def measure(resolved: Resolved, seed: int, number: int) -> dict[str, Any]:
    """Scores, KL and lengths of samples to unseen prompts, and what became of held-out pairs."""
    start = resolved.settings.model
    tokenizer = load_tokenizer(start)
    prompts = unseen_prompts()[:number]
    ids = [np.array(row, np.int32) for row in Encoder(tokenizer).prompts(prompts)]
    models = [
        load_model(path, dtype="float32") for path in (start, str(resolved.settings.out / "model"))
    ]
    first, second = (
        _drawn(path, number, seed) for path in (start, str(resolved.settings.out / "model"))
    )
    roots = [LogProbModel(model) for model in models]
    own = [
        TokenGroup(prompt, (response,)) for prompt, response in zip(ids, second.tokens, strict=True)
    ]
    base, tuned = (_sums(root, own)[:, 0] for root in roots)
    pairs = _held_out_pairs(resolved)
    before, after = (_sums(root, pairs) for root in roots)
    return {
        "score_before": first.scores.tolist(),
        "score_after": second.scores.tolist(),
        "length_before": first.lengths.tolist(),
        "length_after": second.lengths.tolist(),
        "kl": (tuned - base).tolist(),
        "distinct_bigrams": [distinct_bigrams(first.texts), distinct_bigrams(second.texts)],
        "chosen": (after - before)[:, 0].tolist(),
        "rejected": (after - before)[:, 1].tolist(),
        "sample": {"prompt": prompts[0], "before": first.texts[0], "after": second.texts[0]},
    }


@cache
def _drawn(path: str, number: int, seed: int) -> Responses:
    """Samples of a model; the start's are drawn once."""
    tokenizer = load_tokenizer(path)
    prompts = unseen_prompts()[:number]
    ids = [np.array(row, np.int32) for row in Encoder(tokenizer).prompts(prompts)]
    model = load_model(path, dtype="float32")
    limits = {"seed": seed, "max_new_tokens": MOST_NEW_TOKENS}
    return Responses.draw(model, tokenizer, prompts, ids, SentimentScorer.load(), **limits)


def _held_out_pairs(resolved: Resolved) -> list[TokenGroup]:
    """Always as pairs, chosen first, whatever the objective made of them."""
    as_pairs = settings_of("dpo", resolved.settings.seed, resolved.settings.out)
    tokenizer = load_tokenizer(as_pairs.settings.model)
    objective = bind_objective(as_pairs.settings)
    return prepare(as_pairs.settings, objective, tokenizer, 512, Silent()).held_out


def _sums(model: LogProbModel, groups: list[TokenGroup]) -> Floats:
    sums = np.empty((len(groups), len(groups[0].responses)))
    for part in fill([group.length for group in groups], BUDGET):
        for index, arrays in zip(part, score(model, [groups[one] for one in part]), strict=True):
            sums[index] = [array.astype(np.float64).sum() for array in arrays]
    return sums


if __name__ == "__main__":
    main()
