"""`preftune`: the application, and what happens to errors. Imports nothing heavy."""

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from preftune.cli.check import check
from preftune.cli.demo import demo
from preftune.cli.explain import explain
from preftune.cli.objectives import objectives
from preftune.cli.show import show
from preftune.cli.sweep import sweep
from preftune.cli.train import train
from preftune.errors import PreftuneError

EXIT_CODES = (
    "Exit codes: 0 ok · 1 findings · 2 usage or configuration · 3 disk or memory · 4 data · "
    "5 failed while running · 130/143 interrupted (the same command resumes)"
)

app = typer.Typer(
    name="preftune",
    help="From “this answer is better than that one” to a better model, with the evidence.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich alone would take a third of the time
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, check, show, train, sweep, explain):
    app.command(no_args_is_help=command in {check, show, train, sweep})(command)
app.add_typer(objectives, name="objectives")


def version(asked: bool) -> None:
    """Print the version and stop."""
    if asked:
        from importlib.metadata import version as installed

        typer.echo(f"preftune {installed('preftune')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """From “this answer is better than that one” to a better model, with the evidence."""
    if debug:
        os.environ["PREFTUNE_DEBUG"] = "1"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, by default on the process's own arguments.

    User mistakes print a message with a code, never a traceback.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    try:
        app(args=arguments)
    except PreftuneError as error:
        if os.environ.get("PREFTUNE_DEBUG"):
            traceback.print_exc()
        typer.echo(f"error {error.code}: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `preftune … | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
            _report_bug(error)
            sys.exit(5)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        typer.echo(
            f"error PT600: the output can't be written: {error.strerror}.\n"
            "  why: the disk is full, or the device fails.\n  fix: make room, or write elsewhere.",
            err=True,
        )
        sys.exit(3)
    except KeyboardInterrupt:
        typer.echo("interrupted.", err=True)
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - the last door: anything else is our bug
        _report_bug(error)
        sys.exit(5)


def _report_bug(error: Exception) -> None:
    if os.environ.get("PREFTUNE_DEBUG"):
        traceback.print_exc()
        return
    with tempfile.NamedTemporaryFile(
        "w", prefix="preftune-", suffix=".log", delete=False, encoding="utf-8"
    ) as log:
        traceback.print_exception(error, file=log)
    typer.echo(
        f"error PT504: preftune failed in a way that it did not foresee "
        f"({type(error).__name__}: {error}).\n"
        f"  why: this is a bug of ours.\n"
        f"  fix: please report it with {Path(log.name)}; --debug shows the traceback here.",
        err=True,
    )
