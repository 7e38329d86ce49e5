"""`preftune sweep`."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from preftune.sweeps.result import SweepResult


def sweep(
    run_file: RunFile = None,
    *,
    grid: Annotated[
        list[str] | None,
        typer.Option(help="Any key of the run file and its values: objective.beta=0.03,0.1,0.3."),
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Repeat each run: 0,1,2.")] = None,
    halving: Annotated[
        bool,
        typer.Option("--halving", help="Stop the worse half at 1/4 of the steps, then at 1/2."),
    ] = False,
    kl_samples: Annotated[
        int, typer.Option(min=0, help="Held-out prompts sampled from for the KL; 0: none.")
    ] = 64,
    model: Model = None,
    data: Data = None,
    objective: Objective = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the sweep; by default runs/MODEL-sweep.")
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
    """Train every combination of some settings and say which to take. Repeat to resume.

    preftune sweep RUN.yaml --grid objective.beta=0.03,0.1,0.3

    preftune sweep RUN.yaml --grid optimizer.lr=1e-7,3e-7,1e-6 --seeds 0,1 --halving

    preftune sweep --model ./sft --data pairs.jsonl --grid objective=dpo,ipo_sum,simpo
    """
    from preftune.sweeps.grid import parse_grid
    from preftune.sweeps.runs import resolve_runs

    given = by_key(
        columns,
        model=model,
        data=data,
        objective=objective,
        seed=seed,
        max_steps=max_steps,
        bad_rows=bad_rows,
        convert=convert,
    )
    axes = parse_grid(grid or (), seeds)
    root, runs = resolve_runs(
        axes, out, run_file=run_file, given=given, sets=settings or (), flags=FLAGS
    )

    from preftune.cli.console import terminal_watch
    from preftune.sweeps.sweep import sweep as run

    try:
        result = run(
            root,
            runs,
            terminal_watch(),
            halving=halving,
            kl_samples=kl_samples,
            trust_remote_code=trust_remote_code,
        )
    except KeyboardInterrupt:
        raise _stopped(130) from None
    if result.interrupted is not None:
        raise _stopped(128 + result.interrupted)
    _report(result, as_json=as_json)


def _stopped(code: int) -> typer.Exit:
    """Say how to go on."""
    again = shlex.join(["preftune", *sys.argv[1:]])
    typer.echo(f"Stopped; what was done is saved.\nresume: {again}", err=True)
    return typer.Exit(code)


def _report(result: "SweepResult", *, as_json: bool) -> None:
    """The recommendation and the table, or everything as JSON."""
    from preftune.sweeps.result import to_json
    from preftune.sweeps.words import report

    if as_json:
        typer.echo(json.dumps(to_json(result)))
    else:
        for line in report(result):
            typer.echo(line)
    plot = f"plot {result.plot}   " if result.plot else ""
    typer.echo(f"\n{plot}figures {result.out}/sweep.json   models {result.out}/RUN/model", err=True)
