"""The layouts of pairs and of single responses: which columns, in which way, said aloud."""

from collections.abc import Mapping, Sequence

from preftune.sources import pairs
from preftune.sources.columns import PAIR, Columns, choose_columns
from preftune.sources.judgements import said_of, with_weight
from preftune.sources.pairs import Convert
from preftune.sources.rows import Row
from preftune.sources.thumbs import has_thumbs
from preftune.sources.transcripts import is_transcript
from preftune.sources.verdicts import (
    SIDES,
    Says,
    meaning_of,
    said_of_verdicts,
    verdict_words,
)
from preftune.sources.words import JUDGEMENTS

Found = tuple[Columns, str, Convert]
"""The columns used, the sentence to announce, and what makes a group of a row."""

PROMPTS = ("prompt", "conversations", "instruction", "messages")
_CONTEXT = ("system", "weight")
_KNOWN_AS = {"conversations": "ShareGPT"}


def find_pairs(names: Mapping[str, str], mapped: set[str], sample: Sequence[Row]) -> Found | None:
    """The layout of pairs; none where `chosen` and `rejected` are texts without any prompt."""
    prompt = preferred(PROMPTS, names, mapped)
    if prompt:
        return _explicit(names, prompt, PAIR, (*JUDGEMENTS, "annotator"), sample)
    columns = choose_columns(names, (*PAIR, *JUDGEMENTS, "annotator", *_CONTEXT), sample)
    sentence = _implicit(columns, PAIR, sample)
    return (columns, sentence + _beside(columns), pairs.implicit(columns)) if sentence else None


def find_compared(
    names: Mapping[str, str], mapped: set[str], sample: Sequence[Row], where: str
) -> Found | None:
    """The layout of two responses side by side; none where they are texts without any prompt.

    Args:
        names: Words to columns, as `with_verdicts` gives them.
        mapped: The words that the user gave.
        sample: The first rows.
        where: The data, for messages.

    Raises:
        DataError: PT103, it is not clear what the verdicts mean.
    """
    judged = (*verdict_words(names), "annotator")
    prompt = preferred(PROMPTS, names, mapped)
    says = meaning_of(choose_columns(names, (*SIDES, *judged), sample), sample, where)
    if prompt:
        columns, sentence, convert = _explicit(names, prompt, SIDES, judged, sample, says=says)
    else:
        columns = choose_columns(names, (*SIDES, *judged, *_CONTEXT), sample)
        sentence = _implicit(columns, SIDES, sample)
        convert = pairs.implicit(columns, SIDES, says)
        if not sentence:
            return None
        sentence += _beside(columns)
    sentence = f"two responses side by side: {sentence}{said_of_verdicts(columns, says)}"
    return columns, sentence, convert


def _implicit(columns: Columns, words: tuple[str, str], sample: Sequence[Row]) -> str:
    """What is said of two columns that hold their prompt; nothing where they do not."""
    both = " and ".join(f"`{columns.names[word]}`" for word in words)
    if columns.kinds[words[0]] == "messages":
        return f"implicit prompt: messages in {both}, whose first common turns are the prompt"
    if _transcripts(columns, words[0], sample):
        return f"implicit prompt: transcripts in {both}, split by turns"
    return ""


def find_responses(
    names: Mapping[str, str], mapped: set[str], sample: Sequence[Row]
) -> Found | None:
    """The layout of single responses, with thumbs where they are labelled; none if it is none."""
    options = [word for word in ("messages", "conversations") if word in names]
    options += ["prompt"] if {"prompt", "completion"} <= set(names) else []
    options += ["instruction"] if {"instruction", "output"} <= set(names) else []
    word = preferred(options, names, mapped)
    label = ("label",) if has_thumbs(names, mapped, sample) else ()
    names = with_weight(names, sample) if label else names
    if word in ("messages", "conversations"):
        columns = choose_columns(names, (word, *label, *_CONTEXT), sample)
        trained = "what was answered last" if label else "every assistant turn"
        sentence = f"conversations in `{names[word]}`: {trained} is the response"
        return columns, sentence + _beside(columns), pairs.conversation(columns, word)
    answer = "completion" if word == "prompt" else "output"
    return _explicit(names, word, (answer,), label, sample) if word else None


def preferred(options: Sequence[str], names: Mapping[str, str], mapped: set[str]) -> str:
    """The first option that the user mapped, or else that the file has; empty if none."""
    present = [word for word in options if word in names]
    return next((word for word in present if word in mapped), present[0] if present else "")


def _explicit(
    names: Mapping[str, str],
    prompt: str,
    answers: Sequence[str],
    judged: Sequence[str],
    sample: Sequence[Row],
    *,
    says: Says | None = None,
) -> Found:
    second = ("input",) if prompt == "instruction" else ()
    columns = choose_columns(names, (prompt, *second, *answers, *judged, *_CONTEXT), sample)
    kinds = columns.kinds
    plain = prompt == "prompt" and all(kinds[word] == "text" for word in (prompt, *answers))
    held = {word: f"`{columns.names[word]}`" for word in columns.names}
    responses = " and ".join(held[word] for word in answers)
    if plain and _repeats(columns, prompt, answers, sample):
        sentence = f"text in {held[prompt]}; {responses} repeat it, and what follows is trained"
        convert = pairs.repeated_text(columns, prompt, answers, says)
        return columns, sentence + _beside(columns), convert
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
    convert = pairs.explicit(columns, prompt, answers, form, says)
    return columns, sentence + _beside(columns), convert


def _beside(columns: Columns) -> str:
    """What stands beside prompt and responses, for the sentence."""
    held = {word: f"`{column}`" for word, column in columns.names.items()}
    system = f"; system text in {held['system']}" if "system" in held else ""
    thumbs = f"; thumbs in {held['label']}, true for good" if "label" in held else ""
    weight = f"; weight in {held['weight']}" if "weight" in held else ""
    return system + said_of(columns) + thumbs + weight


def _repeats(columns: Columns, prompt: str, answers: Sequence[str], sample: Sequence[Row]) -> bool:
    """Whether every response of the sample begins with its prompt."""
    rows = [[columns.get(row, word) for word in (prompt, *answers)] for row in sample]
    texts = [[value for value in row if isinstance(value, str)] for row in rows]
    whole = [row for row in texts if len(row) == len(answers) + 1 and row[0].strip()]
    return bool(whole) and all(text.startswith(row[0]) for row in whole for text in row[1:])


def _transcripts(columns: Columns, word: str, sample: Sequence[Row]) -> bool:
    """Whether at least half of the sampled texts begin like a transcript."""
    values = [columns.get(row, word) for row in sample]
    texts = [value for value in values if isinstance(value, str)]
    return 2 * sum(map(is_transcript, texts)) >= len(texts) > 0
