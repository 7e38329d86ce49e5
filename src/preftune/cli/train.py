"""`preftune train`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from preftune.cli.options import AsJson, Columns, TrustRemoteCode, parse_map

FLAGS = {
    "model": "--model",
    "data.train": "--data",
    "objective.name": "--objective",
    "out": "--out",
    "seed": "--seed",
    "optimizer.max_steps": "--max-steps",
    "data.map": "--map",
    "data.bad_rows": "--bad-rows",
    "data.convert": "--convert",
}
"""Key of the run file → the flag that sets it."""


def train(
    run_file: Annotated[
        Path | None, typer.Argument(metavar="[RUN.yaml]", help="Run file; flags win over it.")
    ] = None,
    *,
    model: Annotated[
        str | None, typer.Option(help="Folder, hub name or the folder of an earlier run.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="JSONL(.gz), JSON, Parquet, CSV, dataset folder, hub name.")
    ] = None,
    objective: Annotated[
        str | None, typer.Option(help="Such as dpo; `preftune objectives ls` lists them.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; by default runs/MODEL-OBJECTIVE.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the split and the order.")] = None,
    max_steps: Annotated[
        int | None, typer.Option(help="Optimiser steps; by default one epoch.")
    ] = None,
    columns: Columns = None,
    bad_rows: Annotated[str | None, typer.Option(help="error (default) or skip.")] = None,
    convert: Annotated[
        str | None,
        typer.Option(
            help="Make pairs of ratings or rankings (best-versus-worst, best-versus-random, "
            "all-pairs), one judgement of several of a pair (majority), thumbs of pairs (thumbs), "
            "rankings of ratings (ranks)."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any key: --set optimizer.lr=5e-7.")
    ] = None,
    as_json: AsJson = False,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Tune a model on preferences or demonstrations. Repeat the command to resume.

    preftune train --model ./sft --data pairs.jsonl --objective dpo

    preftune train --model ./base --data pairs.jsonl --objective sft

    preftune train --model ./sft --data ratings.jsonl --convert all-pairs --objective dpo

    preftune train RUN.yaml --set objective.beta=0.3 --out runs/second
    """
    from preftune.training.runfile import resolve

    mapping = parse_map(columns) or None
    values = (model, data, objective, out, seed, max_steps, mapping, bad_rows, convert)
    given: dict[str, Any] = {
        key: value for key, value in zip(FLAGS, values, strict=True) if value is not None
    }
    resolved = resolve(run_file, given, settings or (), flags=FLAGS)

    from preftune.cli.console import terminal_watch
    from preftune.cli.outcome import report_outcome
    from preftune.training.run import train as run

    result = run(resolved, terminal_watch(), trust_remote_code=trust_remote_code)
    report_outcome(result, as_json=as_json)
