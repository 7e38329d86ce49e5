"""`preftune demo`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from preftune.cli.options import AsJson

if TYPE_CHECKING:
    from preftune.evaluation import Change, Comparison
    from preftune.recipes.demo.experiment import DemoResult


def demo(
    *,
    out: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(help="Of the order, the split and the samples.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Tune an embedded model on embedded pairs, offline, and see whether it is better.

    preftune demo

    preftune demo --out runs/another --seed 1
    """
    from preftune.cli.console import terminal_watch
    from preftune.cli.outcome import stop_if_interrupted
    from preftune.recipes.demo.experiment import demo as run

    result = run(out, seed=seed, watch=terminal_watch())
    stop_if_interrupted(result.training)
    if as_json:
        typer.echo(json.dumps(_document(result)))
        return
    assert result.comparison is not None, "only an interrupted demo has none"
    for line in page(result.comparison):
        typer.echo(line)
    typer.echo(f"\nplot {result.plot}   metrics {out}/metrics.jsonl   model {out}/model", err=True)
    typer.echo(f"rows as the model sees them: preftune show {_pairs()} --model {out}", err=True)


def page(comparison: "Comparison") -> list[str]:
    """The comparison as a person reads it: the answer first, then what it cost."""
    moved = comparison.score.difference
    verdict = "better" if moved.low > 0 else "worse" if moved.high < 0 else "no clear difference"
    lines = [
        "",
        f"Sentiment after tuning: {verdict} ({comparison.score.before.n} unseen prompts)",
        f"{'':<34}{'before':>12}{'after':>12}   change, 95 % interval",
        _row("sentiment, P(positive)", comparison.score),
        _row("response length, tokens", comparison.length, digits=1),
        _row("ended by itself, share", comparison.finished),
        _row("perplexity under the base model", comparison.perplexity, digits=1),
        f"{'win rate against before':<34}{'':>24}   {comparison.win_rate}",
        f"{'KL from before, nats a response':<34}{'':>24}   {comparison.kl}",
    ]
    if comparison.pairs is not None:
        lines += [
            f"On {comparison.pairs.pairs} held-out pairs:",
            _row("log p of chosen, nats", comparison.pairs.chosen, digits=1),
            _row("log p of rejected, nats", comparison.pairs.rejected, digits=1),
            f"{'chosen preferred, share':<34}{'':>24}   {comparison.pairs.accuracy}",
        ]
    for sample in comparison.examples(3):
        lines += [
            "",
            f"prompt  {_inert(sample.prompt)}",
            f"before  {_inert(sample.before)}  [{sample.score_before:.2f}]",
            f"after   {_inert(sample.after)}  [{sample.score_after:.2f}]",
        ]
    return lines


def _row(name: str, change: "Change", digits: int = 3) -> str:
    before, after, moved = change.before.value, change.after.value, change.difference
    interval = f"{moved.value:+.{digits}f} [{moved.low:+.{digits}f}, {moved.high:+.{digits}f}]"
    return f"{name:<34}{before:>12.{digits}f}{after:>12.{digits}f}   {interval}"


def _inert(text: str) -> str:
    """Model text must not command the terminal."""
    from preftune.rendering.preview import inert

    return inert(text)


def _pairs() -> Path:
    from preftune.recipes.demo.experiment import ASSETS

    return ASSETS / "pairs.jsonl.gz"


def _document(result: "DemoResult") -> dict[str, object]:
    from dataclasses import asdict

    comparison = result.comparison
    return {
        "version": 1,
        "training": asdict(result.training),
        "comparison": comparison.to_json() if comparison else None,
        "plot": str(result.plot),
    }
