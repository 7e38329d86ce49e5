"""Whether the turns of a conversation follow each other as templates want them."""

from collections.abc import Sequence

from preftune.records import Group, Message

_MAY_FOLLOW = {
    "": ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("assistant", "tool", "user"),
}
"""Roles, and which may come next; the empty one is the beginning."""


def disorder(group: Group) -> str:
    """What is wrong with the order of the roles, in words; empty if nothing is.

    >>> disorder(Group((Message("user", "a"), Message("user", "b")), ()))
    'turn 2 is the user’s, after the user’s'
    """
    if group.form == "text":
        return ""
    prompt = group.prompt
    fault = _fault(prompt, "")
    if fault:
        return fault
    if prompt and prompt[-1].role not in ("user", "tool"):
        return f"the prompt ends with the {_whose(prompt[-1].role)} turn"
    last = prompt[-1].role if prompt else "user"
    faults = (_fault(one.turns, last, len(prompt)) for one in group.responses)
    return next((fault for fault in faults if fault), "")


def _fault(turns: Sequence[Message], before: str, number: int = 0) -> str:
    for turn in turns:
        number += 1
        if turn.role not in _MAY_FOLLOW.get(before, ()):
            after = f"after the {_whose(before)}" if before else "the first"
            return f"turn {number} is the {_whose(turn.role)}, {after}"
        before = turn.role
    return ""


def _whose(role: str) -> str:
    return f"{role}’s"
