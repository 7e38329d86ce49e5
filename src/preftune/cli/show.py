"""`preftune show`."""

import typer

from preftune.cli.options import parse_map


def show(
    data: str = typer.Argument(help="File, dataset folder or hub name."),
    model: str = typer.Option(help="Folder or hub name: its tokenizer and template are used."),
    number: int = typer.Option(3, "-n", "--number", min=1, help="How many rows."),
    columns: list[str] = typer.Option([], "--map", help="chosen=good,rejected=bad"),
    max_tokens: int = typer.Option(1024, min=2, help="Most tokens of prompt + response."),
    truncation: str = typer.Option("drop", help="drop, prompt-left or response."),
    form: str = typer.Option("auto", help="auto, chat or text."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
    trust_remote_code: bool = typer.Option(False, help="Run code that comes with the model."),
) -> None:
    """Show rows token by token: what is prompt, what is trained, what was cut.

    preftune show pairs.jsonl --model HuggingFaceTB/SmolLM2-135M-Instruct -n 3

    preftune show pairs.csv --model ./model --map chosen=good,rejected=bad,prompt=question
    """
    from preftune.cli.console import terminal_watch
    from preftune.cli.preview import show_rows

    show_rows(
        data,
        model,
        number=number,
        mapping=parse_map(columns),
        max_tokens=max_tokens,
        truncation=truncation,
        form=form,
        as_json=as_json,
        trust_remote_code=trust_remote_code,
        watch=terminal_watch(),
    )
