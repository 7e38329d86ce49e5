"""`preftune explain`."""

from typing import Annotated

import typer


def explain(code: Annotated[str, typer.Argument(help="Such as PT104.")]) -> None:
    """Say what an error code means.

    preftune explain PT104
    """
    from preftune.errors import ConfigError
    from preftune.errors import explain as look_up

    try:
        typer.echo(look_up(code))
    except KeyError as error:
        raise ConfigError(
            "PT300",
            f"{error.args[0]}.",
            why="only codes that preftune prints have an explanation.",
            fix="copy the code from the error message.",
        ) from None
