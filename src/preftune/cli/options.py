"""Options that several commands share."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from preftune.errors import ConfigError

Columns = Annotated[
    list[str] | None, typer.Option("--map", help="Column names: chosen=good,rejected=bad.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run code that comes with the model.")
]


class Truncation(StrEnum):
    """What happens to rows over the limit."""

    drop = "drop"
    prompt_left = "prompt-left"
    response = "response"


class FormOption(StrEnum):
    """How rows are rendered."""

    auto = "auto"
    chat = "chat"
    text = "text"


def parse_map(texts: Sequence[str] | None) -> dict[str, str]:
    """`chosen=good,rejected=bad` to a mapping from our column names to the file's.

    >>> parse_map(["chosen=good,rejected=bad", "prompt=question"])
    {'chosen': 'good', 'rejected': 'bad', 'prompt': 'question'}
    """
    mapping: dict[str, str] = {}
    for item in (item for text in texts or () for item in text.split(",")):
        ours, equals, theirs = (part.strip() for part in item.partition("="))
        if not (ours and equals and theirs):
            raise ConfigError(
                "PT301",
                f"`--map {item}` is not of the form ours=theirs.",
                why="the columns can't be matched.",
                fix="write for instance --map chosen=good,rejected=bad,prompt=question.",
            )
        mapping[ours] = theirs
    return mapping
