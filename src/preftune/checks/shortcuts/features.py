"""The form of one response in a few counts: how long it is, and how it is laid out."""

import re
from collections.abc import Callable

from preftune.checks.rows.texts import is_refusal

COUNTS = (
    "characters",
    "words",
    "list items",
    "headings",
    "bold passages",
    "code blocks",
    "table rows",
    "emoji",
    "question marks",
    "exclamation marks",
    "digits",
    "paragraphs",
    "links",
    "refusals",
)
"""What `form_of` counts, in its order."""

_LINE = re.compile(r"^[ \t]*(?:(\||#{1,6}[ \t])|(?:[-*+•]|\d{1,3}[.)])[ \t])", re.MULTILINE)
"""Group 1: a table row or a heading; no group: a list item."""
_EMOJI = re.compile("[\U0001f300-\U0001faff\u2600-\u27bf\u2b1b-\u2b55]")
_DIGITS = "0123456789"


def form_of(text: str, refuses: Callable[[str], bool] = is_refusal) -> list[int]:
    r"""The counts of one response, in the order of `COUNTS`.

    >>> dict(zip(COUNTS, form_of("# Yes!\n\n- **one**\n- two 🙂")))["list items"]
    2
    """
    items = headings = rows = 0
    for found in _LINE.finditer(text):
        mark = found[1]
        items += mark is None
        rows += mark == "|"
        headings += mark is not None and mark != "|"
    count = text.count
    return [
        len(text),
        len(text.split()),
        items,
        headings,
        count("**") // 2,
        (count("```") + 1) // 2,  # one that is never closed is one, too
        rows,
        0 if text.isascii() else len(_EMOJI.findall(text)),
        count("?"),
        count("!"),
        sum(map(count, _DIGITS)),
        sum(not part.isspace() for part in text.split("\n\n") if part),
        count("://"),
        refuses(text),
    ]
