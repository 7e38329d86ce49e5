"""The words for columns, the user's mapping onto them, and guesses for unknown columns."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from preftune.errors import ConfigError
from preftune.sources.rows import quote

WORDS = (
    "prompt",
    "chosen",
    "rejected",
    "completion",
    "messages",
    "conversations",
    "instruction",
    "input",
    "output",
    "system",
    "label",
)
"""What a column of text may be called; `--map WORD=COLUMN` gives a file's column such a name."""

JUDGEMENTS = ("strength", "margin", "tie", "score_chosen", "score_rejected")
"""Words for columns of numbers and marks that say more of a pair than which side is chosen."""

LISTS = ("responses", "scores", "ranks")
"""Words for columns that hold several values, one for each response."""

COMPARISONS = ("response_a", "response_b", "verdict", "annotator")
"""Words for two responses side by side, in the order in which they were shown, and who said what
of them; `annotator` may stand beside `chosen` and `rejected`, too."""

KNOWN = (*WORDS, *JUDGEMENTS, *LISTS, *COMPARISONS, "weight")

_SYNONYMS = {
    "rejected": "bad loser lose losing worse worst dispreferred unpreferred declined refused "
    "negative neg reject inferior yl",
    "chosen": "good winner win winning better best preferred accepted positive pos choose "
    "choice superior yw",
    "prompt": "question query instruction input context problem user request ask x",
    "completion": "response answer output reply target generation text",
    "messages": "message conversation conversations chat dialog dialogue turns",
}


def resolve(
    mapping: Mapping[str, str] | None, columns: Iterable[str], inner: Iterable[str], where: str
) -> dict[str, str]:
    """Which column of the file stands for which word.

    A column that carries the name of a word for text stands for it, unless the mapping says
    otherwise. What columns of numbers and of lists hold must be looked at first.

    Args:
        mapping: The user's words for columns.
        columns: Of the file.
        inner: Dotted names of what lies inside columns: a mapping may name them, too.
        where: The data, for messages.

    Raises:
        ConfigError: PT300 unknown word, PT301 a column that the file lacks or that is used twice.
    """
    present = list(columns)
    whole = [*present, *inner]
    given = dict(mapping or {})
    for word, column in given.items():
        if word not in KNOWN:
            raise _unknown("PT300", f"`{word}` in --map is no known word", word, KNOWN, "--map")
        if column not in whole:
            problem = f"--map {word}={column}: the data has no column {quote(column)}"
            raise _unknown("PT301", problem, column, whole, where)
    taken = list(given.values())
    if len(set(taken)) != len(taken):
        raise ConfigError(
            "PT301",
            "--map gives one column two names",
            why="a text can't be, say, both chosen and rejected.",
            fix="map each word to a column of its own.",
            where="--map",
        )
    natural = {word: word for word in WORDS if word in present and word not in taken}
    return {**natural, **given}


def _unknown(code: str, problem: str, name: str, known: Iterable[str], where: str) -> ConfigError:
    options = list(known)
    close = get_close_matches(name, options, n=1, cutoff=0.5)
    listed = ", ".join(options[:30])
    return ConfigError(
        code,
        problem,
        why="--map WORD=COLUMN says which column of the data holds what.",
        fix=f"did you mean `{close[0]}`? Known: {listed}." if close else f"known: {listed}.",
        where=where,
    )


def guess(columns: Iterable[str]) -> dict[str, str]:
    """The likeliest column for each of prompt, chosen, rejected, completion and messages.

    Example:
        >>> guess(["id", "question", "good_answer", "bad_answer"])
        {'rejected': 'bad_answer', 'chosen': 'good_answer', 'prompt': 'question'}
    """
    left = list(columns)
    found: dict[str, str] = {}
    for closeness in (_same, _close):
        for word, synonyms in _SYNONYMS.items():
            if word in found:
                continue
            names = {word, *synonyms.split()} if closeness is _same else {word}
            match = next((column for column in left if closeness(column, names)), None)
            if match is not None:
                found[word] = match
                left.remove(match)
    return found


def _parts(column: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column)
    return set(re.findall(r"[a-z]+", spaced.lower()))


def _same(column: str, names: set[str]) -> bool:
    joined = re.sub(r"[^a-z]", "", column.lower())
    return bool((_parts(column) | {joined}) & names)


def _close(column: str, names: set[str]) -> bool:
    return bool(get_close_matches(column.lower(), sorted(names), n=1, cutoff=0.75))
