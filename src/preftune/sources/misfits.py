"""Data that fits no layout: what to say about it."""

from collections.abc import Iterable, Mapping, Sequence

from preftune.errors import ConfigError, DataError
from preftune.sources.columns import PAIR
from preftune.sources.lists import has_responses
from preftune.sources.pair_layouts import PROMPTS
from preftune.sources.rows import Row, quote
from preftune.sources.transcripts import is_transcript
from preftune.sources.verdicts import SIDES, sides_in, verdicts_in, with_verdicts
from preftune.sources.words import guess


def no_layout(
    found: Sequence[str],
    names: Mapping[str, str],
    mapped: set[str],
    sample: Sequence[Row],
    where: str,
) -> DataError | ConfigError:
    """The error for columns that make no layout, with a mapping that is likely to help."""
    if mapped:
        return ConfigError(
            "PT302",
            f"--map leaves no whole layout: known are {listed(names) or 'no columns'}",
            why="a pair needs chosen, rejected and mostly a prompt, or response_a, response_b and "
            "a verdict; a ranking needs a prompt, "
            "responses, and their scores or ranks; SFT needs a response.",
            fix="add what is missing: --map chosen=COLUMN,rejected=COLUMN,prompt=COLUMN "
            f"(columns: {', '.join(map(quote, found))}).",
            where="--map",
        )
    if set(names).issuperset(PAIR):
        missing = "`chosen` and `rejected` are plain text, not transcripts, and a prompt is missing"
    elif sides := sides_in(names, sample):
        missing = _missing_beside(sides, names, mapped, sample)
    elif responses := has_responses(sample):
        missing = f"{quote(responses)} holds lists, but a prompt is missing, or scores or ranks"
    else:
        missing = "no known layout has these columns"
    return DataError(
        "PT103",
        f"{missing}. Columns found: {', '.join(map(quote, found)) or 'none'}",
        why="needed are prompt, chosen and rejected for pairs (the prompt may be part of both, as "
        "transcripts or messages), or prompt, two responses and a verdict; prompt, responses and "
        "their scores or ranks for rankings; or prompt and completion, instruction and output, or "
        "messages for SFT, and a label beside them for thumbs.",
        fix=f"say which column is which: {_ready_map(found, names, sample)}",
        where=where,
    )


def _missing_beside(
    sides: tuple[str, str], names: Mapping[str, str], mapped: set[str], sample: Sequence[Row]
) -> str:
    """What two responses side by side lack: a verdict, one verdict of several, or a prompt."""
    both = " and ".join(map(quote, sides))
    if with_verdicts(names, mapped, sample):
        return f"{both} stand side by side with a verdict, and a prompt is missing"
    columns = verdicts_in({**names, **dict(zip(SIDES, sides, strict=True))}, mapped, sample)
    if columns:
        return f"{both} stand side by side, and the verdict may be any of {listed(columns)}"
    return f"{both} stand side by side, and a verdict is missing"


def _map_beside(
    sides: tuple[str, str], found: Sequence[str], names: Mapping[str, str], sample: Sequence[Row]
) -> str:
    rest = [column for column in found if column not in sides]
    topic = "topic" if "topic" in rest else "COLUMN"
    prompt = f"prompt={names.get('prompt') or guess(rest).get('prompt', topic)}"
    if with_verdicts(names, set(), sample):
        return f"--map {prompt}"
    columns = verdicts_in({**names, **dict(zip(SIDES, sides, strict=True))}, set(), sample)
    verdict = f"verdict={columns[0] if columns else 'COLUMN'}"
    asked = [prompt] if not set(names) & set(PROMPTS) else []
    both = [f"{word}={column}" for word, column in zip(SIDES, sides, strict=True)]
    return f"--map {','.join([*asked, *both, verdict])}"


def _ready_map(found: Sequence[str], names: Mapping[str, str], sample: Sequence[Row]) -> str:
    sides = sides_in(names, sample)
    if sides:
        return _map_beside(sides, found, names, sample)
    responses = has_responses(sample)
    if responses:
        rest = [column for column in found if column != responses]
        prompt = guess(rest).get("prompt", "COLUMN")
        return f"--map prompt={prompt},responses={responses},scores=COLUMN"
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
