"""Find out how the rows of a file are laid out, from the columns of the first rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from preftune.errors import ConfigError
from preftune.sources import pairs
from preftune.sources.columns import PAIR, Columns, choose_columns
from preftune.sources.misfits import listed, no_layout, refuse_later_layouts
from preftune.sources.pairs import Convert
from preftune.sources.rows import Row, quote
from preftune.sources.transcripts import is_transcript
from preftune.sources.words import resolve

_CONTEXT = ("system",)
_KNOWN_AS = {"conversations": "ShareGPT"}


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows become groups."""

    sentence: str
    """What is announced."""
    convert: Convert


def find_layout(sample: Sequence[Row], mapping: Mapping[str, str] | None, where: str) -> Layout:
    """The layout of rows like those of the sample.

    Args:
        sample: The first rows; the union of their columns counts, not those of one row.
        mapping: The user's words for columns.
        where: The data, for messages.

    Raises:
        ConfigError: PT300, PT301, PT302, the mapping does not fit.
        DataError: PT103, no known layout fits; PT105, one that this version does not train on.
    """
    found = list(dict.fromkeys(column for row in sample for column in row.columns))
    names = resolve(mapping, found, (), where)
    mapped = set(mapping or ())
    refuse_later_layouts(names, mapped, sample, where)
    used, layout = _match(names, mapped, sample)
    if layout is None:
        raise no_layout(found, names, bool(mapping), sample, where)
    idle = [word for word in mapping or () if word not in used.names]
    if idle:
        raise ConfigError(
            "PT301",
            f"--map names `{idle[0]}`, which is not used beside {listed(used.names)}",
            why="a mapped column that does nothing is a mistake.",
            fix=f"leave `{idle[0]}` out, or map the columns of one layout only.",
            where="--map",
        )
    kept = [column for column in found if column not in used.names.values()]
    extra = f"; kept as metadata: {', '.join(map(quote, kept))}" if kept else ""
    return Layout(layout.sentence + extra, layout.convert)


def _match(
    names: Mapping[str, str], mapped: set[str], sample: Sequence[Row]
) -> tuple[Columns, Layout | None]:
    if set(names).issuperset(PAIR):
        return _pair_layout(names, mapped, sample)
    return _response_layout(names, mapped, sample)


def _pair_layout(
    names: Mapping[str, str], mapped: set[str], sample: Sequence[Row]
) -> tuple[Columns, Layout | None]:
    prompts = _preferred(("prompt", "conversations", "instruction", "messages"), names, mapped)
    if prompts:
        return _explicit(names, prompts, PAIR, sample)
    columns = choose_columns(names, (*PAIR, *_CONTEXT), sample)
    both = " and ".join(f"`{names[word]}`" for word in PAIR)
    if columns.kinds["chosen"] == "messages":
        sentence = f"implicit prompt: messages in {both}, whose first common turns are the prompt"
        return columns, Layout(sentence, pairs.implicit(columns))
    if not _transcripts(columns, sample):
        return columns, None
    sentence = f"implicit prompt: transcripts in {both}, split by turns"
    return columns, Layout(sentence, pairs.implicit(columns))


def _response_layout(
    names: Mapping[str, str], mapped: set[str], sample: Sequence[Row]
) -> tuple[Columns, Layout | None]:
    options = [word for word in ("messages", "conversations") if word in names]
    options += ["prompt"] if {"prompt", "completion"} <= set(names) else []
    options += ["instruction"] if {"instruction", "output"} <= set(names) else []
    word = _preferred(options, names, mapped)
    if word in ("messages", "conversations"):
        columns = choose_columns(names, (word, *_CONTEXT), sample)
        sentence = f"conversations in `{names[word]}`: every assistant turn is a response"
        return columns, Layout(sentence, pairs.conversation(columns, word))
    if word:
        answer = "completion" if word == "prompt" else "output"
        return _explicit(names, word, (answer,), sample)
    return Columns(dict(names), {}), None


def _preferred(options: Sequence[str], names: Mapping[str, str], mapped: set[str]) -> str:
    """The first option that the user mapped, or else that the file has; empty if none."""
    present = [word for word in options if word in names]
    return next((word for word in present if word in mapped), present[0] if present else "")


def _explicit(
    names: Mapping[str, str], prompt: str, answers: Sequence[str], sample: Sequence[Row]
) -> tuple[Columns, Layout]:
    second = ("input",) if prompt == "instruction" else ()
    columns = choose_columns(names, (prompt, *second, *answers, *_CONTEXT), sample)
    kinds = columns.kinds
    plain = prompt == "prompt" and all(kinds[word] == "text" for word in (prompt, *answers))
    held = {word: f"`{columns.names[word]}`" for word in columns.names}
    responses = " and ".join(held[word] for word in answers)
    system = f", system text in {held['system']}" if "system" in held else ""
    if plain and _repeats(columns, prompt, answers, sample):
        sentence = f"text in {held[prompt]}; {responses} repeat it, and what follows is trained"
        return columns, Layout(sentence + system, pairs.repeated_text(columns, prompt, answers))
    if prompt == "instruction":
        joined = f" and {held['input']}, joined by an empty line" if "input" in held else ""
        sentence = f"instructions: prompt in {held[prompt]}{joined}; responses in {responses}"
    else:
        sentence = (
            f"{_KNOWN_AS.get(prompt, 'explicit prompt')}: {kinds[prompt]} in {held[prompt]}; "
            f"{kinds[answers[0]]} in {responses}"
        )
        if kinds[answers[0]] == "messages":
            sentence += ", without the turns that repeat the prompt"
    form = "text" if plain and "system" not in held else "chat"
    return columns, Layout(sentence + system, pairs.explicit(columns, prompt, answers, form))


def _repeats(columns: Columns, prompt: str, answers: Sequence[str], sample: Sequence[Row]) -> bool:
    """Whether every response of the sample begins with its prompt."""
    rows = [[row.columns.get(columns.names[word]) for word in (prompt, *answers)] for row in sample]
    texts = [[value for value in row if isinstance(value, str)] for row in rows]
    whole = [row for row in texts if len(row) == len(answers) + 1 and row[0].strip()]
    return bool(whole) and all(text.startswith(row[0]) for row in whole for text in row[1:])


def _transcripts(columns: Columns, sample: Sequence[Row]) -> bool:
    """Whether at least half of the sampled texts begin like a transcript."""
    values = [row.columns.get(columns.names["chosen"]) for row in sample]
    texts = [value for value in values if isinstance(value, str)]
    return 2 * sum(map(is_transcript, texts)) >= len(texts) > 0
