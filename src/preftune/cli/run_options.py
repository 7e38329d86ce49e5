"""What says what to train: the flags that `train` and `sweep` share."""

from pathlib import Path
from typing import Annotated, Any

import typer

from preftune.cli.options import parse_map

RunFile = Annotated[
    Path | None, typer.Argument(metavar="[RUN.yaml]", help="Run file; flags win over it.")
]
Model = Annotated[
    str | None, typer.Option(help="Folder, hub name or the folder of an earlier run.")
]
Data = Annotated[
    str | None, typer.Option(help="JSONL(.gz), JSON, Parquet, CSV, dataset folder, hub name.")
]
Objective = Annotated[
    str | None, typer.Option(help="Such as dpo; `preftune objectives ls` lists them.")
]
Seed = Annotated[int | None, typer.Option(help="Of the split and the order.")]
MaxSteps = Annotated[int | None, typer.Option(help="Optimiser steps; by default one epoch.")]
BadRows = Annotated[str | None, typer.Option(help="error (default) or skip.")]
Convert = Annotated[
    str | None,
    typer.Option(
        help="Make pairs of ratings or rankings (best-versus-worst, best-versus-random, "
        "all-pairs), one judgement of several of a pair (majority), thumbs of pairs (thumbs), "
        "rankings of ratings (ranks)."
    ),
]
Sets = Annotated[list[str] | None, typer.Option("--set", help="Any key: --set optimizer.lr=5e-7.")]

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


def by_key(columns: list[str] | None, **flags: Any) -> dict[str, Any]:
    """The flags that were given, by the keys of the run file.

    Args:
        columns: Of `--map`.
        flags: Flag without dashes → its value, none where it was not given.

    Example:
        >>> by_key(["chosen=good"], model="./sft", max_steps=None)
        {'model': './sft', 'data.map': {'chosen': 'good'}}
    """
    keys = {flag.removeprefix("--").replace("-", "_"): key for key, flag in FLAGS.items()}
    found = {keys[flag]: value for flag, value in flags.items() if value is not None}
    mapping = parse_map(columns)
    return found | ({"data.map": mapping} if mapping else {})
