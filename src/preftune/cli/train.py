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
from preftune.errors import ConfigError


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
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Say what it will cost in memory, time and disk; exit 3 if it can't fit.",
        ),
    ] = False,
    memory: Annotated[
        str | None,
        typer.Option(
            help="With --plan: memory that the run may take, such as 24GiB.", metavar="SIZE"
        ),
    ] = None,
    price: Annotated[
        float | None, typer.Option(help="With --plan: price of an hour of the device.", min=0)
    ] = None,
    try_for: Annotated[
        str | None,
        typer.Option(
            "--try",
            help="Train so long (60s, 2m), foresee time and memory, show a sample; keep nothing.",
            metavar="TIME",
        ),
    ] = None,
    as_json: AsJson = False,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Tune a model on preferences or demonstrations. Repeat the command to resume.

    preftune train --model ./sft --data pairs.jsonl --objective dpo

    preftune train --model ./base --data pairs.jsonl --objective sft

    preftune train --model ./sft --data ratings.jsonl --convert all-pairs --objective dpo

    preftune train RUN.yaml --set objective.beta=0.3 --out runs/second

    preftune train RUN.yaml --plan --memory 24GiB --price 2.5

    preftune train RUN.yaml --try 60s
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
    if plan:
        _alone(try_for)
        from preftune.cli.plan import show_plan

        show_plan(
            resolved,
            memory=memory,
            price=price,
            as_json=as_json,
            trust_remote_code=trust_remote_code,
        )
        return
    _only_with_plan(memory=memory, price=price)
    if try_for is not None:
        from preftune.cli.trial import show_trial

        show_trial(resolved, try_for, as_json=as_json, trust_remote_code=trust_remote_code)
        return

    from preftune.cli.console import terminal_watch
    from preftune.cli.outcome import report_outcome
    from preftune.training.run import train as run

    result = run(resolved, terminal_watch(), trust_remote_code=trust_remote_code)
    report_outcome(result, as_json=as_json)


def _alone(try_for: str | None) -> None:
    """Refuse a trial beside a plan."""
    if try_for is not None:
        raise ConfigError(
            "PT303",
            "--try has no effect beside --plan.",
            why="a plan loads no weights, and a trial trains.",
            fix="give one of the two.",
        )


def _only_with_plan(**options: object) -> None:
    """Refuse what has no effect without a plan."""
    for name, value in options.items():
        if value is not None:
            raise ConfigError(
                "PT303",
                f"--{name} has no effect without --plan.",
                why="a setting without effect would make the run something else than it says.",
                fix=f"add --plan, or leave --{name} out.",
            )
