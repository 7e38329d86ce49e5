"""`preftune train`."""

from pathlib import Path
from typing import Annotated

import typer

from preftune.cli.options import AsJson, Columns, TrustRemoteCode
from preftune.cli.run_options import (
    FLAGS,
    BadRows,
    Convert,
    Data,
    MaxSteps,
    Model,
    Objective,
    RunFile,
    Seed,
    Sets,
    by_key,
)


def train(
    run_file: RunFile = None,
    *,
    model: Model = None,
    data: Data = None,
    objective: Objective = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; by default runs/MODEL-OBJECTIVE.")
    ] = None,
    seed: Seed = None,
    max_steps: MaxSteps = None,
    columns: Columns = None,
    bad_rows: BadRows = None,
    convert: Convert = None,
    settings: Sets = None,
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

    given = by_key(
        columns,
        model=model,
        data=data,
        objective=objective,
        out=out,
        seed=seed,
        max_steps=max_steps,
        bad_rows=bad_rows,
        convert=convert,
    )
    resolved = resolve(run_file, given, settings or (), flags=FLAGS)

    from preftune.cli.console import terminal_watch
    from preftune.cli.outcome import report_outcome
    from preftune.training.run import train as run

    result = run(resolved, terminal_watch(), trust_remote_code=trust_remote_code)
    report_outcome(result, as_json=as_json)
