"""One picture of a run: did the score rise, what did it cost, what happened underneath?"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preftune.evaluation.results import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours: told apart by colour-blind people and in grey print.
BEFORE, AFTER, THIRD = "#7f7f7f", "#0072b2", "#d55e00"


def plot_comparison(
    comparison: Comparison, metrics: str | Path, out: str | Path, *, score_name: str = "score"
) -> Path:
    """Draw scores before and after, the training curves and what the pairs did.

    Args:
        comparison: From `compare`.
        metrics: The run's `metrics.jsonl`.
        out: The PNG to write.
        score_name: What the scorer measures, for the axis: "P(positive)".

    Returns:
        `out` as a path.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A figure of its own rather than pyplot: no display, no global state, nothing left open.
    figure = Figure(figsize=(12, 7), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(2, 2)
    rows = _read(Path(metrics))
    _scores(axes[0, 0], comparison, score_name)
    _curve(axes[0, 1], rows)
    _rewards(axes[1, 0], rows)
    _log_probs(axes[1, 1], rows)
    figure.suptitle(_headline(comparison, score_name), fontsize=12)
    path = Path(out)
    figure.savefig(path)
    return path


def _headline(comparison: Comparison, score_name: str) -> str:
    score, kl = comparison.score, comparison.kl
    return (
        f"Mean {score_name} {score.before.value:.2f} → {score.after.value:.2f} "
        f"(change {score.difference}), win rate {comparison.win_rate}\n"
        f"at a KL of {kl} nats per response; perplexity under the model before "
        f"{comparison.perplexity.before.value:.1f} → {comparison.perplexity.after.value:.1f}; "
        f"{score.before.n} unseen prompts"
    )


def _scores(axes: "Axes", comparison: Comparison, score_name: str) -> None:
    before = [sample.score_before for sample in comparison.samples]
    after = [sample.score_after for sample in comparison.samples]
    low, high = min(before + after), max(before + after)
    edges = [low + (high - low) * step / 20 for step in range(21)] if high > low else 1
    axes.hist(before, bins=edges, color=BEFORE, alpha=0.6, label="before")
    axes.hist(after, bins=edges, color=AFTER, alpha=0.6, label="after")
    for change, colour in ((comparison.score.before, BEFORE), (comparison.score.after, AFTER)):
        axes.axvline(change.value, color=colour, linestyle="--")
        axes.axvspan(change.low, change.high, color=colour, alpha=0.25, linewidth=0)
    _label(axes, "Responses to unseen prompts (dashed: mean with interval)", score_name, "prompts")


def _curve(axes: "Axes", rows: Sequence[dict[str, Any]]) -> None:
    _lines(axes, rows, "loss", AFTER, "loss")
    _label(axes, "Training", "optimiser step", "loss, nats")
    right: Any = axes.twinx()
    _lines(right, rows, "accuracy", THIRD, "accuracy (right axis)")
    right.set_ylabel("share of pairs with a positive margin")
    right.set_ylim(0, 1.02)
    right.spines["top"].set_visible(False)
    lines: list[Any] = [*axes.get_lines(), *right.get_lines()]
    shown = [line for line in lines if not str(line.get_label()).startswith("_")]
    axes.legend(shown, [str(line.get_label()) for line in shown], frameon=False, loc="lower left")


def _rewards(axes: "Axes", rows: Sequence[dict[str, Any]]) -> None:
    for name, colour in (("chosen", AFTER), ("rejected", THIRD)):
        _lines(axes, rows, f"rewards_{name}", colour, name)
    axes.axhline(0, color="black", linewidth=0.8)
    title = "Implicit reward: β × (log p − log p of the reference)"
    _label(axes, title, "optimiser step", "implicit reward")


def _log_probs(axes: "Axes", rows: Sequence[dict[str, Any]]) -> None:
    # Batches differ in length by more than tuning changes: held-out pairs show the change.
    rows = [row for row in rows if row.get("split") == "held_out"] or rows
    for name, colour in (("chosen", AFTER), ("rejected", THIRD)):
        _lines(axes, rows, f"logps_{name}", colour, name)
    title = "Log-probabilities: does the chosen response get likelier, too?"
    _label(axes, title, "optimiser step", "log p(response), nats")


def _lines(
    axes: "Axes", rows: Sequence[dict[str, Any]], name: str, colour: str, label: str
) -> None:
    """Training batches as a thin line, as they differ; held-out pairs as a thick one."""
    for split, width, text in (("train", 0.8, "batch"), ("held_out", 2.2, "held out")):
        points = [
            (row["step"], row[name])
            for row in rows
            if row.get("split") == split and row.get(name) is not None
        ]
        if points:
            steps, values = zip(*points, strict=True)
            marker = "o" if split == "held_out" else ""
            axes.plot(
                steps, values, color=colour, linewidth=width, marker=marker, markersize=4,
                label=f"{label}, {text}",
            )  # fmt: skip


def _label(axes: "Axes", title: str, across: str, up: str) -> None:
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)


def _read(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    return [json.loads(line) for line in lines if line.strip()]
