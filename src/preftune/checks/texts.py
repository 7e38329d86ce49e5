"""What is wrong with one text, and where. Pure functions: a place, or -1 where nothing is."""

import re

from preftune.checks.refusals import REFUSAL

_OPENING = 400
"""Letters at the start in which a refusal is told."""
_LATEST = 120
"""A refusal begins here at the latest: after a greeting, or one short sentence."""
_SENTENCE_ENDS = re.compile(r"[.!?。！？:] ?")


def is_refusal(text: str) -> bool:
    """Whether a response refuses, by how it begins.

    >>> is_refusal("I’m sorry, but I can’t help with that."), is_refusal("I can't wait to go!")
    (True, False)
    """
    head = " ".join(text[:_OPENING].lower().replace("’", "'").split())
    if REFUSAL.match(head):
        return True
    ends = _SENTENCE_ENDS.finditer(head, 0, _LATEST)
    return any(REFUSAL.match(head, end.end()) for end in ends)
