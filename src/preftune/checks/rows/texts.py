"""What is wrong with one text, and where. Pure functions: a place, or -1 where nothing is."""

import re
from functools import lru_cache

from preftune.checks.rows.refusals import FOREIGN_HINTS, FOREIGN_REFUSAL, HINTS, REFUSAL

_OPENING = 300
"""Letters at the start in which a refusal is told."""
_LATEST = 120
"""A refusal begins here at the latest: after a greeting, or one short sentence."""
_FIRST = 40
"""Letters by which most responses are told from a repetition of their prompt."""
_FEWEST_WORDS, _FEWEST_LETTERS = 4, 16
"""A prompt shorter than both is not looked for: a greeting is often returned."""
_COMPLETED = 7
"""Words of a beginning that is seldom completed by saying it again."""
_SENTENCE_ENDS = re.compile(r"[.!?。！？:] ?")


@lru_cache(maxsize=16)  # two checks ask about the responses of a row
def is_refusal(text: str) -> bool:
    """Whether a response refuses, by how it begins.

    >>> is_refusal("I’m sorry, but I can’t help with that."), is_refusal("I can't wait to go!")
    (True, False)
    """
    head = text[:_OPENING].lower().replace("’", "'")
    patterns = [REFUSAL] if any(hint in head for hint in HINTS) else []
    if any(hint in head for hint in FOREIGN_HINTS):
        patterns.append(FOREIGN_REFUSAL)
    if not patterns:
        return False
    head = " ".join(head.split())
    starts = [0, *(end.end() for end in _SENTENCE_ENDS.finditer(head, 0, _LATEST))]
    return any(pattern.match(head, start) for pattern in patterns for start in starts)


def repeat_end(response: str, prompt: str, *, continues: bool = False) -> int:
    """Where the prompt ends that a response says again before its answer; -1 if it does not.

    White space may differ. Prompts of a word or two are not looked for, nor is one that the
    response completes: "The capital of France is" may be answered "The capital of France is Paris."

    Args:
        response: It must start with the prompt.
        prompt: The last user turn, or all of the prompt.
        continues: The response is written to go on where the prompt ends, so nothing is completed.

    >>> repeat_end("Why is the sky blue? It scatters light.", "Why is the sky blue?")
    20
    """
    first = prompt[:_FIRST].split(None, 1)
    if not first or not response.lstrip()[:_FIRST].startswith(first[0]):
        return -1
    words = prompt.split()
    place = _end_of(words, response)
    if place < 0 or (len(words) < _FEWEST_WORDS and len(prompt) < _FEWEST_LETTERS):
        return -1
    after = response[place : place + 1]
    if after.isalnum() and prompt.rstrip()[-1].isalnum():
        return -1
    after = response[place:].lstrip(" \t")[:1]
    parted = not after or not prompt.rstrip()[-1].isalnum() or after in ".?!:\n"
    return place if parted or continues or len(words) >= _COMPLETED else -1


def _end_of(words: list[str], text: str) -> int:
    """Where the words end at the start of a text, whatever white space is between them."""
    place = 0
    for word in words:
        while place < len(text) and text[place].isspace():
            place += 1
        if not text.startswith(word, place):
            return -1
        place += len(word)
    return place
