"""From the results of `compare_objectives.py` to `docs/comparison.md` and its plot."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from compare_objectives import LEFT_OUT, STEPS
from PIL import Image

from preftune.objectives.catalogue import CATALOGUE
from preftune.records import Estimate
from preftune.statistics import bootstrap_mean, outcomes

DOCS = Path(__file__).parents[2] / "docs"
COLUMNS = ("reward", "win_rate", "kl", "displacement", "chosen", "rejected", "length")
HEAD = """# All objectives on the same pairs

Every objective at its default settings, on the demo's 1,900 training pairs of film-review snippets
(3.9M-parameter model, {steps} steps of 32 pairs, learning rate 4e-4 for all, AdamW, gradients
clipped at norm 1), over {seeds} seeds. Thumb objectives see the same pairs as thumbs. Measured on
{prompts} unseen prompts, one sample each, the same random numbers before and after.

```sh
python scripts/docs/compare_objectives.py --out runs/comparison         # trains, measures; resumes
python scripts/docs/compare_objectives.py --out runs/comparison --page  # writes this page
```

![reward against KL for every objective](comparison.png)

**What it says, and what not.** One small model, one narrow task, one learning rate: it is no
ranking for your model. Published defaults are for models a thousand times larger and for learning
rates hundreds of times smaller. AdamW takes out most of a loss's scale, so a small β does not mean
a small step here; it means a late pull back to the reference. Read a row for the kind of move that
an objective makes: how much reward for how much KL, and what becomes of the two log-probs.

- **reward**: change of P(positive) of the samples. **win rate**: share of prompts whose sample
  after is the more positive one, ties half. **KL**: nats a response from the start, by sampling.
- **displacement**: share of held-out pairs whose chosen response became less likely. **chosen**,
  **rejected**: change of their log-prob, nats. **length**: change in tokens.
- Intervals are 95 %, by bootstrap over prompts of the mean over seeds, over pairs for what is said
  of pairs; `seeds` is the range of the single seeds' rewards. Of so many, some miss the truth.

{left_out} What we saw in it: [log.md](log.md).

| objective | reward | seeds | win rate | KL | displacement | chosen | rejected | length |
|---|---|---|---|---|---|---|---|---|
"""


def write_page(results: Path) -> None:
    """Write page and plot from the results that are there."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(results.glob("*-*.json")):
        run = json.loads(path.read_text())
        runs.setdefault(run["objective"], []).append(run)
    rows = {name: row_of(runs[name]) for name in CATALOGUE if name in runs}
    order = sorted(rows, key=lambda name: -rows[name]["reward"].value)
    first = runs[order[0]][0]
    missing = [name for name in CATALOGUE if name not in runs and name not in LEFT_OUT]
    assert not missing, f"no results of {', '.join(missing)}"
    text = HEAD.format(
        steps=STEPS,
        seeds=max(len(one) for one in runs.values()),
        prompts=len(first["kl"]),
        left_out="\n".join(f"`{name}` is left out: {why}." for name, why in LEFT_OUT.items()),
    )
    lines = [_line(name, rows[name], runs[name]) for name in order]
    (DOCS / "comparison.md").write_text(text + "\n".join(lines) + "\n", encoding="utf-8")
    draw(rows, DOCS / "comparison.png")


def row_of(runs: list[dict[str, Any]]) -> dict[str, Estimate]:
    """Estimates of one objective from its seeds."""

    def by_prompt(values: list[np.ndarray]) -> Estimate:
        return bootstrap_mean(np.mean(values, axis=0), seed=0)

    def by_pair(name: str, change: str) -> Estimate:
        pooled = np.concatenate([np.array(run[name]) for run in runs])
        return bootstrap_mean((pooled < 0).astype(float) if change == "share" else pooled, seed=0)

    before = [np.array(run["score_before"]) for run in runs]
    after = [np.array(run["score_after"]) for run in runs]
    return {
        "reward": by_prompt([b - a for a, b in zip(before, after, strict=True)]),
        "win_rate": by_prompt([outcomes(b, a) for a, b in zip(before, after, strict=True)]),
        "kl": by_prompt([np.array(run["kl"]) for run in runs]),
        "displacement": by_pair("chosen", "share"),
        "chosen": by_pair("chosen", "mean"),
        "rejected": by_pair("rejected", "mean"),
        "length": by_prompt(
            [np.subtract(run["length_after"], run["length_before"]) for run in runs]
        ),
    }


def _line(name: str, row: dict[str, Estimate], runs: list[dict[str, Any]]) -> str:
    rewards = [np.mean(run["score_after"]) - np.mean(run["score_before"]) for run in runs]
    cells = {column: _cell(row[column], column) for column in COLUMNS}
    seeds = f"{min(rewards):+.3f} … {max(rewards):+.3f}"
    rest = " | ".join(cells[column] for column in COLUMNS[1:])
    return f"| [{name}](objectives.md#{name}) | {cells['reward']} | {seeds} | {rest} |"


def _cell(estimate: Estimate, column: str) -> str:
    sign = "" if column in {"win_rate", "kl", "displacement"} else "+"
    digits = {"reward": 3, "win_rate": 2, "displacement": 2, "kl": 2}.get(column, 1)
    form = f"{{:{sign}.{digits}f}}".format
    return f"{form(estimate.value)} [{form(estimate.low)}, {form(estimate.high)}]"


CROWD = ((1.6, 2.4), (0.076, 0.1))
"""Nats and reward between which most objectives lie: drawn once more, larger."""


def draw(rows: dict[str, dict[str, Estimate]], path: Path) -> None:
    """Reward against KL, one cross for each objective; beside it the crowd without intervals."""
    mpl.use("Agg")
    figure, (whole, near) = plt.subplots(1, 2, figsize=(12, 5.5), layout="constrained")
    for name, row in rows.items():
        x, y = row["kl"], row["reward"]
        colour = "tab:blue" if CATALOGUE[name].reference != "none" else "tab:orange"
        whole.plot([x.low, x.high], [y.value, y.value], color=colour, alpha=0.25)
        whole.plot([x.value] * 2, [y.low, y.high], color=colour, alpha=0.25)
        crowded = all(
            low < one.value < high for one, (low, high) in zip((x, y), CROWD, strict=True)
        )
        for axis in (whole, near) if crowded else (whole,):
            axis.plot(x.value, y.value, ".", color=colour)
        place = {"xy": (x.value, y.value), "xytext": (3, 3), "textcoords": "offset points"}
        (near if crowded else whole).annotate(name, fontsize=7, **place)
    whole.set_xscale("log")
    whole.set_title("blue: with a reference; orange: without; 95 % intervals", fontsize=9)
    near.set_xlim(*CROWD[0])
    near.set_ylim(*CROWD[1])
    near.set_title("the crowd, larger, without its intervals (they overlap)", fontsize=9)
    for axis in (whole, near):
        axis.set_xlabel("KL from the start, nats a response")
        axis.set_ylabel("change of P(positive)")
    drawn = BytesIO()
    figure.savefig(drawn, dpi=100)
    plt.close(figure)
    Image.open(drawn).convert("RGB").quantize(64).save(path, optimize=True)
