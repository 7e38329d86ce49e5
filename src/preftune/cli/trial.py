"""`preftune train … --try 60s`: a short training, and what it says of the whole one."""

import json
import re
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import typer

from preftune.cli.console import terminal_watch
from preftune.cli.plan import size
from preftune.errors import ConfigError

if TYPE_CHECKING:
    from preftune.evaluation.trial import Trial
    from preftune.training.runfile import Resolved
    from preftune.training.step import Outcome

UNITS = {"s": 1, "m": 60, "h": 3600}
FIGURES = ("accuracy", "margin", "logps_chosen", "logps_rejected", "logps")


def show_trial(
    resolved: "Resolved", duration: str, *, as_json: bool, trust_remote_code: bool
) -> None:
    """Train for a while, print what was seen and foreseen on stdout."""
    seconds = parse_duration(duration)
    from preftune.evaluation.trial import trial

    found = trial(resolved, seconds, terminal_watch(), trust_remote_code=trust_remote_code)
    if as_json:
        typer.echo(json.dumps({"version": 1, **asdict(found)}))
        return
    for line in (*_forecast(found), *_figures(found), *_answers(found)):
        typer.echo(line)


def parse_duration(text: str) -> float:
    """Seconds.

    Raises:
        ConfigError: not a number above 0 with s, m or h (PT301).

    >>> parse_duration("90s"), parse_duration("2m"), parse_duration("0.5h")
    (90.0, 120.0, 1800.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if found is None or float(found[1]) == 0:
        raise ConfigError(
            "PT301",
            f"`--try {text}` is no length of time.",
            why="the trial would not know when to stop.",
            fix="write for instance --try 90s or --try 2m.",
        )
    return float(found[1]) * UNITS[found[2]]


def _forecast(trial: "Trial") -> list[str]:
    return [
        f"{trial.steps:,} steps tried, {trial.tokens_per_second:,.0f} tokens a second; nothing of "
        "them is kept",
        f"{'the whole run, foreseen':<26}{timedelta(seconds=round(trial.forecast))!s:>14}   for "
        f"{trial.num_steps:,} steps, the reference and evaluations",
        f"{'memory, measured':<26}{size(trial.peak):>14}   with the run's fullest micro-batch",
        "",
    ]


def _figures(trial: "Trial") -> list[str]:
    shown = [("training", "first step", "last step", trial.train)]
    if trial.held_out is not None:
        shown.append(("held out", "before", "after", trial.held_out))
    lines: list[str] = []
    for name, first, last, (before, after) in shown:
        lines.append(f"{name:<26}{first:>14}{last:>14}")
        lines += [f"{key:<26}{old:>14.4f}{new:>14.4f}" for key, old, new in _rows(before, after)]
        lines.append("")
    return lines


def _rows(before: "Outcome", after: "Outcome") -> list[tuple[str, float, float]]:
    known = [name for name in FIGURES if name in before.means and name in after.means]
    return [
        ("loss", before.loss, after.loss),
        *((name, before.means[name], after.means[name]) for name in known),
    ]


def _answers(trial: "Trial") -> list[str]:
    if trial.answers is None:
        return ["no held-out prompt to answer."]
    from preftune.rendering.preview import inert  # model text must not command the terminal

    answers: dict[str, Any] = asdict(trial.answers)
    return [f"{name:<8}{inert(text)}" for name, text in answers.items()]
