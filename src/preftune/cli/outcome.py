"""What `preftune train` prints when it ends, and its exit code."""

import json
import shlex
import sys
from dataclasses import asdict

import typer

from preftune.training.run import TrainResult

FIGURES = (
    "loss",
    "accuracy",
    "margin",
    "rewards_chosen",
    "rewards_rejected",
    "rewards_good",
    "rewards_bad",
    "displacement",
    "kl",
)


def report_outcome(result: TrainResult, *, as_json: bool) -> None:
    """Figures on stdout, the next step on stderr. Exits with 128 + signal if interrupted."""
    if as_json:
        typer.echo(json.dumps({"version": 1, **asdict(result)}))
    stop_if_interrupted(result)
    if not as_json:
        for line in _table(result):
            typer.echo(line)
    typer.echo(f"model: {result.out}/model   metrics: {result.out}/metrics.jsonl", err=True)


def stop_if_interrupted(result: TrainResult) -> None:
    """Say how to resume and leave with 128 + signal, if the run was interrupted."""
    if result.interrupted is None:
        return
    saved = f"Stopped after step {result.steps:,} of {result.num_steps:,}; all is saved."
    typer.echo(f"{saved}\nresume: {shlex.join(['preftune', *sys.argv[1:]])}", err=True)
    raise typer.Exit(128 + result.interrupted)


def _table(result: TrainResult) -> list[str]:
    before, after = result.held_out_before, result.held_out
    if not after:
        return [
            f"{name:<18}{result.train[name]:>10.4f}" for name in FIGURES if name in result.train
        ]
    lines = [f"{'held out':<18}{'before':>10}{'after':>10}"]
    parts = [name for name in after if name.startswith("loss_")]  # of a mixture
    for name in (FIGURES[0], *parts, *FIGURES[1:]):
        if name in after and name in before:
            lines.append(f"{name:<18}{before[name]:>10.4f}{after[name]:>10.4f}")
    return lines
