"""`preftune explain`."""

from difflib import get_close_matches
from typing import Annotated

import typer


def explain(
    code: Annotated[str, typer.Argument(help="Such as PT104 of an error, or PC400 of `check`.")],
) -> None:
    """Say what the code of an error or of a finding means.

    preftune explain PT104

    preftune explain PC400
    """
    from preftune.checks.codes import MEANINGS
    from preftune.errors import EXPLANATIONS, ConfigError

    key = code.upper()
    if key in EXPLANATIONS:
        typer.echo(EXPLANATIONS[key])
    elif key in MEANINGS:
        meaning = MEANINGS[key]
        typer.echo(f"{meaning.title}\nwhy: {meaning.why}\nfix: {meaning.fix}")
    else:
        close = get_close_matches(key, [*EXPLANATIONS, *MEANINGS], n=1)
        raise ConfigError(
            "PT300",
            f"unknown code {code!r}" + (f"; did you mean {close[0]}?" if close else "."),
            why="only codes that preftune prints have an explanation.",
            fix="copy the code from the message.",
        )
