"""`preftune show`."""

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from preftune.cli.options import (
    AsJson,
    Columns,
    FormOption,
    Truncation,
    TrustRemoteCode,
    parse_map,
)


def show(
    data: Annotated[str, typer.Argument(help="File, dataset folder or hub name.")],
    model: Annotated[str, typer.Option(help="Folder or hub name, for tokenizer and template.")],
    *,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many rows.")] = 3,
    columns: Columns = None,
    conversion: Annotated[
        str | None, typer.Option("--convert", help="As `train --convert`: see what it makes.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=2, help="Of prompt + response; as `train` by default.")
    ] = None,
    truncation: Annotated[Truncation, typer.Option(help="Of longer rows.")] = Truncation.drop,
    form: Annotated[FormOption, typer.Option(help="Conversation or plain text.")] = FormOption.auto,
    as_json: AsJson = False,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Show rows token by token: what is prompt, what is trained, what was cut.

    preftune show pairs.jsonl --model HuggingFaceTB/SmolLM2-135M-Instruct

    preftune show pairs.csv --model ./model --map chosen=good,rejected=bad

    preftune show ratings.jsonl --model ./model --convert best-versus-worst
    """
    from rich.console import Console

    from preftune.cli.console import terminal_watch
    from preftune.models.limits import token_limit
    from preftune.models.load import load_config, load_tokenizer
    from preftune.rendering.preview import as_text, preview
    from preftune.rendering.preview import show as colour
    from preftune.rendering.renderer import Renderer
    from preftune.sources import announce, convert, read

    limit_of_rows = max(100, number)
    reading = read(data, mapping=parse_map(columns) or None, bad_rows="skip", limit=limit_of_rows)
    watch = terminal_watch()
    announce(reading, data, watch)
    if reading.intake.rows == limit_of_rows:
        watch.say(f"These are the first {limit_of_rows:,} rows only.")
    groups = reading.groups
    if conversion is not None:
        converted = convert(groups, reading.intake, conversion)
        watch.say(converted.sentence)
        groups = converted.groups
    tokenizer = load_tokenizer(model, trust_remote_code=trust_remote_code)
    limit = token_limit(max_tokens, load_config(model, trust_remote_code=trust_remote_code))
    renderer = Renderer(tokenizer, max_tokens=limit, truncation=truncation.value, form=form.value)
    view = preview(renderer, groups, number)
    if as_json:
        typer.echo(json.dumps({"version": 1, **asdict(view)}, ensure_ascii=False))
    elif sys.stdout.isatty():
        colour(view, Console())
    else:
        typer.echo(as_text(view), nl=False)
