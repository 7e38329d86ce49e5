"""Data that fits no layout, or one that comes later: what to say about it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from preftune.errors import ConfigError, DataError
from preftune.sources.columns import PAIR
from preftune.sources.rows import Row, quote
from preftune.sources.transcripts import is_transcript
from preftune.sources.words import guess

_LISTS = ("responses", "completions", "replies", "ranks", "rankings")


def refuse_later_layouts(
    names: Mapping[str, str], mapped: set[str], sample: Sequence[Row], where: str
) -> None:
    """Refuse thumbs and ranked lists, which only a later version trains on.

    Raises:
        DataError: PT105.
    """
    words = set(names)
    if words.issuperset(PAIR):
        return
    answered = "messages" in words or "conversations" in words or {"prompt", "completion"} <= words
    if "label" in words and answered and (not mapped or "label" in mapped):
        values = [row.columns.get(names["label"]) for row in sample]
        if all(value in (True, False, -1, None, "true", "false") for value in values):
            raise _later("thumbs: single responses labelled good or bad", where)
    if not mapped and any(_has_list(row, name) for row in sample for name in _LISTS):
        raise _later("ranked lists: several responses to one prompt", where)


def _has_list(row: Row, name: str) -> bool:
    prompt = row.columns.get("prompt")
    inner = cast("dict[str, object]", prompt).get(name) if isinstance(prompt, dict) else None
    return isinstance(row.columns.get(name), list) or isinstance(inner, list)


def _later(what: str, where: str) -> DataError:
    return DataError(
        "PT105",
        f"the data holds {what}",
        why="this version trains on pairs (chosen and rejected) and on responses (SFT); "
        "thumbs and ranked lists come with a later one.",
        fix="make pairs of them, each with prompt, chosen and rejected, or use another file.",
        where=where,
    )


def no_layout(
    found: Sequence[str],
    names: Mapping[str, str],
    mapped: bool,
    sample: Sequence[Row],
    where: str,
) -> DataError | ConfigError:
    """The error for columns that make no layout, with a mapping that is likely to help."""
    if mapped:
        return ConfigError(
            "PT302",
            f"--map leaves no whole layout: known are {listed(names) or 'no columns'}",
            why="a pair needs chosen, rejected and mostly a prompt; SFT needs a response.",
            fix="add what is missing: --map chosen=COLUMN,rejected=COLUMN,prompt=COLUMN "
            f"(columns: {', '.join(map(quote, found))}).",
            where="--map",
        )
    if set(names).issuperset(PAIR):
        missing = "`chosen` and `rejected` are plain text, not transcripts, and a prompt is missing"
    else:
        missing = "no known layout has these columns"
    return DataError(
        "PT103",
        f"{missing}. Columns found: {', '.join(map(quote, found)) or 'none'}",
        why="needed are prompt, chosen and rejected for pairs (the prompt may be part of both, as "
        "transcripts or messages), or prompt and completion, instruction and output, or "
        "messages for SFT.",
        fix=f"say which column is which: {_ready_map(found, sample)}",
        where=where,
    )


def _ready_map(found: Sequence[str], sample: Sequence[Row]) -> str:
    likely = guess(found)
    if {"chosen", "rejected"} <= set(likely):
        named = [f"{word}={likely[word]}" for word in (*PAIR, "prompt") if word in likely]
        if "prompt" not in likely and not _whole(likely, sample):
            named.append("prompt=COLUMN")
    elif {"prompt", "completion"} <= set(likely):
        named = [f"{word}={likely[word]}" for word in ("prompt", "completion")]
    elif "messages" in likely:
        named = [f"messages={likely['messages']}"]
    else:
        named = [f"{word}=COLUMN" for word in (*PAIR, "prompt")]
    return f"--map {','.join(named)}"


def _whole(likely: Mapping[str, str], sample: Sequence[Row]) -> bool:
    """Whether the guessed pair holds whole conversations, which need no prompt column."""
    values = [row.columns.get(likely["chosen"]) for row in sample]
    return any(
        isinstance(value, list) or (isinstance(value, str) and is_transcript(value))
        for value in values
    )


def listed(names: Iterable[str]) -> str:
    """Words for a message."""
    return ", ".join(f"`{word}`" for word in names)
