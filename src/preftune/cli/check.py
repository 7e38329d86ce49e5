"""`preftune check`."""

import json
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from preftune.cli.options import AsJson, Columns, TrustRemoteCode, parse_map
from preftune.errors import ConfigError
from preftune.records import Examination, Severity


class FailOn(StrEnum):
    """From which severity on the command exits with 1."""

    error = "error"
    warning = "warning"
    never = "never"


def check(
    data: Annotated[str, typer.Argument(help="File, dataset folder or hub name.")],
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only what `train` looks at: no near repeats, no noise.")
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="Folder or hub name: count tokens, ask the reference.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots.")] = None,
    fix: Annotated[
        Path | None, typer.Option(help="Write a mended copy (.jsonl), and a log of the changes.")
    ] = None,
    fail_on: Annotated[
        FailOn, typer.Option(help="Exit 1 on a finding this severe.")
    ] = FailOn.error,
    columns: Columns = None,
    split: Annotated[str | None, typer.Option(help="Of a hub data set.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many rows.")] = None,
    as_json: AsJson = False,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Say what a model will learn from this data besides what was meant, and how to mend it.

    preftune check pairs.jsonl

    preftune check pairs.jsonl --model ./sft-model --html check.html

    preftune check pairs.jsonl --fix mended.jsonl --fail-on warning
    """
    from preftune.checks import check as examine
    from preftune.cli.console import terminal_watch

    _refuse_idle(model, trust_remote_code=trust_remote_code)
    watch = terminal_watch()
    examination = examine(
        data,
        mapping=parse_map(columns) or None,
        split=split,
        limit=limit,
        depth="quick" if quick else "full",
        watch=watch,
    )
    if as_json:
        typer.echo(json.dumps(document(examination), ensure_ascii=False))
    else:
        _print(examination)
    if fail_on is not FailOn.never and _reaches(examination, Severity[fail_on.value]):
        raise typer.Exit(1)


def document(examination: Examination) -> dict[str, Any]:
    """The examination as JSON, version 1: its fields, severities by name, the verdict."""
    fields = asdict(examination)
    fields["findings"] = [
        {**found, "severity": one.severity.name, "share": one.share}
        for found, one in zip(fields["findings"], examination.findings, strict=True)
    ]
    fields["drops"] = {str(row): code for row, code in examination.drops.items()}
    return {"version": 1, "verdict": examination.verdict, **fields}


def _reaches(examination: Examination, level: Severity) -> bool:
    return any(one.severity >= level for one in examination.findings)


def _refuse_idle(model: str | None, *, trust_remote_code: bool) -> None:
    """Refuse options that do nothing without a model."""
    if model is None and trust_remote_code:
        raise ConfigError(
            "PT301",
            "--trust-remote-code is given without --model",
            why="an option that does nothing is a mistake.",
            fix="name the model with --model, or leave the option out.",
        )


def _print(examination: Examination) -> None:
    from rich.console import Console

    from preftune.cli.page import page

    console = Console(highlight=False, markup=False, emoji=False)
    width = min(console.width, 110) if sys.stdout.isatty() else 100
    for line in page(examination, width):
        console.print(line, soft_wrap=True)
