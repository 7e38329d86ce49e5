"""`preftune train`."""

from pathlib import Path
from typing import Any

import typer

from preftune.cli.options import parse_map


def train(
    run_file: Path | None = typer.Argument(None, metavar="[RUN.yaml]", help="Run file."),
    model: str | None = typer.Option(None, help="Folder, hub name or an earlier run's folder."),
    data: str | None = typer.Option(None, help="File, dataset folder or hub name."),
    objective: str | None = typer.Option(None, help="dpo or sft."),
    out: Path | None = typer.Option(None, help="Run folder; default runs/MODEL-OBJECTIVE."),
    seed: int | None = typer.Option(None, help="Of the order of the data and the split."),
    max_steps: int | None = typer.Option(None, help="Optimiser steps; default one epoch."),
    columns: list[str] = typer.Option([], "--map", help="chosen=good,rejected=bad"),
    bad_rows: str | None = typer.Option(None, help="error or skip."),
    settings: list[str] = typer.Option([], "--set", help="Any key: --set optimizer.lr=5e-7"),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON on stdout."),
    trust_remote_code: bool = typer.Option(False, help="Run code that comes with the model."),
) -> None:
    """Tune a model on preferences (dpo) or demonstrations (sft). Repeat the command to resume.

    preftune train --model ./sft-model --data pairs.jsonl --objective dpo --out runs/first

    preftune train --model ./base --data pairs.jsonl --objective sft --max-steps 100

    preftune train RUN.yaml --set objective.beta=0.3 --set optimizer.lr=5e-7 --out runs/beta-03
    """
    from preftune.training.runfile import resolve

    flags: dict[str, Any] = {
        "model": model,
        "data.train": data,
        "objective.name": objective,
        "out": str(out) if out else None,
        "seed": seed,
        "optimizer.max_steps": max_steps,
        "data.map": parse_map(columns) or None,
        "data.bad_rows": bad_rows,
    }
    given = {key: value for key, value in flags.items() if value is not None}
    resolved = resolve(run_file, given, settings)

    from preftune.cli.console import terminal_watch
    from preftune.cli.outcome import report_outcome
    from preftune.training.run import train as run

    result = run(resolved, terminal_watch(), trust_remote_code=trust_remote_code)
    report_outcome(result, as_json=as_json)
