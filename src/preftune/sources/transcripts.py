r"""Transcripts as in HH-RLHF: `\n\nHuman: … \n\nAssistant: …` in one text."""

import re

from preftune.records import Message
from preftune.sources.rows import RowError, quote
from preftune.sources.turns import Turns

_START = re.compile(r"\s*(Human|System):")
_SPEAKER = re.compile(r"\n\n(Human|Assistant|System):")
_ROLES = {"Human": "user", "Assistant": "assistant", "System": "system"}


def is_transcript(text: str) -> bool:
    """Whether the text begins with a human's or the system's turn."""
    return _START.match(text) is not None


def parse_transcript(text: str, column: str) -> Turns:
    r"""The turns of a transcript. A turn's text is kept to the byte, save the space after `:`.

    Raises:
        RowError: the text does not begin with a speaker.

    Example:
        >>> parse_transcript("\n\nHuman: red?\n\nAssistant: No, blue", "chosen")
        (Message(role='user', content='red?'), Message(role='assistant', content='No, blue'))
    """
    # Some files begin without the empty line; with it every turn is found by one fast search.
    head, *parts = _SPEAKER.split("\n\n" + text.lstrip())
    if head or not parts:
        raise RowError(f"{column} is no transcript", f"it begins {quote(text)}")
    return tuple(
        Message(_ROLES[speaker], said.removeprefix(" "))
        for speaker, said in zip(parts[::2], parts[1::2], strict=True)
    )
