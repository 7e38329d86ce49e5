"""`preftune check`."""

import json
import os
import sys
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from preftune.cli.options import (
    AsJson,
    Columns,
    FormOption,
    Truncation,
    TrustRemoteCode,
    parse_map,
)
from preftune.errors import ConfigError, ResourceError

if TYPE_CHECKING:
    from preftune.checks.mending.mended import Mended
    from preftune.checks.run import File
    from preftune.records import Examination  # numpy: a third of the time that --help may take


class FailOn(StrEnum):
    """From which severity on the command exits with 1."""

    error = "error"
    warning = "warning"
    never = "never"


class JudgeOption(StrEnum):
    """Who may score the reference's own answers."""

    sentiment = "sentiment"


def check(
    data: Annotated[str, typer.Argument(help="File, dataset folder or hub name.")],
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only what `train` looks at: no near repeats, no noise.")
    ] = False,
    held_out: Annotated[
        str | None, typer.Option(help="File of held-out rows: are its prompts trained on?")
    ] = None,
    benchmark: Annotated[
        list[str] | None, typer.Option(help="File of questions that must not be in the data.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Folder or hub name: count tokens, ask the reference.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=0, help="Pairs that the model reads (256); 0: only tokens.")
    ] = None,
    judge: Annotated[
        JudgeOption | None, typer.Option(help="Who scores the model's own answers.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=2, help="Of prompt + response; as `train` by default.")
    ] = None,
    truncation: Annotated[Truncation | None, typer.Option(help="Of longer rows (drop).")] = None,
    form: Annotated[FormOption | None, typer.Option(help="How rows are rendered (auto).")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots.")] = None,
    fix: Annotated[
        Path | None, typer.Option(help="Write a mended copy (.jsonl), and a log of the changes.")
    ] = None,
    fail_on: Annotated[FailOn, typer.Option(help="Exit 1 on such a finding.")] = FailOn.error,
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
    given = {
        "sample": sample,
        "max_tokens": max_tokens,
        "truncation": truncation and truncation.value,
        "form": form and form.value,
        "trust_remote_code": trust_remote_code or None,
    }
    asked = Asked(
        data=data,
        mapping=parse_map(columns) or None,
        split=split,
        limit=limit,
        model=model,
        options={name: value for name, value in given.items() if value is not None},
        judge=judge,
    )
    asked.refuse_idle()
    _refuse_places(data, html, fix)
    examination = asked.examine(
        held_out=held_out, benchmarks=benchmark or (), depth="quick" if quick else "full"
    )
    if html:
        _write_page(examination, html)
    if not as_json:
        _print(examination)
    mended = asked.mend(examination, fix) if fix else None
    if as_json:
        typer.echo(json.dumps(document(examination, mended), ensure_ascii=False))
    from preftune.records import Severity

    if fail_on is not FailOn.never and examination.reaches(Severity[fail_on.value]):
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the user asks about: the data, and the model with its options."""

    data: str
    mapping: dict[str, str] | None
    split: str | None
    limit: int | None
    model: str | None
    options: dict[str, Any]
    """Of `ModelCheck`, as far as they were given."""
    judge: JudgeOption | None

    def refuse_idle(self) -> None:
        """Refuse options that do nothing without a model."""
        idle = [*self.options, *(["judge"] if self.judge else [])]
        if self.model is None and idle:
            raise ConfigError(
                "PT301",
                f"--{idle[0].replace('_', '-')} is given without --model",
                why="an option that does nothing is a mistake.",
                fix="name the model with --model, or leave the option out.",
            )

    def examine(self, **how: Any) -> "Examination":
        """Run the checks; then let the reference answer by itself, where a judge is named."""
        from preftune.checks import check as run
        from preftune.checks.reference.with_model import ModelCheck
        from preftune.cli.console import terminal_watch

        watch = terminal_watch()
        model = None if self.model is None else ModelCheck(self.model, watch=watch, **self.options)
        found = run(
            self.data,
            model=model,
            mapping=self.mapping,
            split=self.split,
            limit=self.limit,
            watch=watch,
            **how,
        )
        return found if self.judge is None else self._judged(found)

    def mend(self, examination: "Examination", out: Path) -> "Mended":
        """Write the mended copy, and say what became of the rows."""
        from preftune.checks.mending.mending import mend
        from preftune.cli.console import terminal_watch

        watch = terminal_watch()
        mended = mend(self._file(), examination, out, watch)
        watch.say(f"{mended.out}: {mended.summary()}; every change: {mended.log}")
        return mended

    def _file(self) -> "File":
        from preftune.checks.run import File

        return File(self.data, self.mapping, self.split, self.limit)

    def _judged(self, examination: "Examination") -> "Examination":
        """PC707: what a judge makes of the reference's own answers."""
        from preftune.checks.examine import with_conclusion
        from preftune.cli.console import terminal_watch
        from preftune.evaluation.weak_reference import weak_reference
        from preftune.judging import SentimentScorer
        from preftune.models import load_model, load_tokenizer

        assert self.model is not None, "a judge without a model is refused"
        trust = bool(self.options.get("trust_remote_code"))
        conclusion = weak_reference(
            load_model(self.model, trust_remote_code=trust),
            load_tokenizer(self.model, trust_remote_code=trust),
            self._file()(),
            SentimentScorer.load(),
            watch=terminal_watch(),
        )
        return with_conclusion(examination, conclusion)


def document(examination: "Examination", mended: "Mended | None" = None) -> dict[str, Any]:
    """The examination as JSON, version 1: its fields, severities by name, the verdict."""
    fields = asdict(examination)
    fields["findings"] = [
        {**found, "severity": one.severity.name, "share": one.share}
        for found, one in zip(fields["findings"], examination.findings, strict=True)
    ]
    fields["drops"] = {str(row): code for row, code in examination.drops.items()}
    if mended:
        fields["mended"] = {**asdict(mended), "out": str(mended.out), "log": str(mended.log)}
    return {"version": 1, "verdict": examination.verdict, **fields}


def _refuse_places(data: str, html: Path | None, fix: Path | None) -> None:
    """Refuse to write where it can't be or would do harm, before any work is done."""
    from preftune.checks.mending.copies import copy_and_log

    if fix:
        copy_and_log(fix, data)
    if html is None:
        return
    problem = ""
    if html.suffix.lower() not in {".html", ".htm"}:
        problem = "a page is an .html file, and the name says otherwise"
    elif html.is_dir() or not html.parent.is_dir():
        problem = f"the folder {html.parent} does not exist, or this is a folder"
    if problem:
        raise ConfigError(
            "PT301",
            problem,
            why="the page could not be written once the work is done.",
            fix="name an .html file in a folder that exists.",
            where=str(html),
        )


def _write_page(examination: "Examination", html: Path) -> None:
    from preftune.report import write_examination

    try:
        write_examination(examination, html)
    except OSError as error:
        raise ResourceError(
            "PT600",
            f"the page can't be written: {error.strerror or error}",
            why="the disk is full, or the folder is not yours to write.",
            fix="make room, or name another place.",
            where=str(html),
        ) from error
    typer.echo(f"page: {html}", err=True)


def _print(examination: "Examination") -> None:
    from rich.console import Console

    from preftune.cli.page import page

    class Page(Console):
        def on_broken_pipe(self) -> None:
            """Nobody reads on: the verdict still is the exit code."""
            raise BrokenPipeError

    console = Page(highlight=False, markup=False, emoji=False)
    width = min(console.width, 110) if sys.stdout.isatty() else 100
    try:
        for line in page(examination, width):
            console.print(line, soft_wrap=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
