"""Turns of a conversation: from the spellings found in files to checked `Message`s."""

from typing import cast

from preftune.records import Message
from preftune.sources.rows import RowError, kind_of, quote

Turns = tuple[Message, ...]

ROLES = {
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "model"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function", "observation", "function_response", "ipython"), "tool"),
    "function_call": "assistant",
}
"""Speakers as files spell them, and our roles."""

_FIELDS = (("role", "content"), ("from", "value"))


def turns_of(value: object, column: str) -> Turns:
    """Messages as a list of `role`/`content` or `from`/`value` objects, or one such object.

    Raises:
        RowError: it is neither, a role is unknown, or a content is not text.
    """
    if isinstance(value, dict):
        value = _transposed(cast("dict[str, object]", value))
    if not isinstance(value, list):
        raise RowError(f"{column} is not messages", f"it is {kind_of(value)}: {quote(value)}")
    items = cast("list[object]", value)
    if not items:
        raise RowError(f"empty {column}", "the list has no messages", broken=False)
    return tuple(_message(item, column, number) for number, item in enumerate(items, 1))


def _transposed(value: dict[str, object]) -> list[object]:
    """One message, or the object of two lists that `datasets` makes of a list of objects."""
    for pair in _FIELDS:
        columns = [value.get(key) for key in pair]
        if all(isinstance(column, list) for column in columns):
            first, second = cast("list[list[object]]", columns)
            if len(first) == len(second):
                both = zip(first, second, strict=True)
                return [dict(zip(pair, items, strict=True)) for items in both]
    return [value]


def _message(item: object, column: str, number: int) -> Message:
    if not isinstance(item, dict):
        raise RowError(f"{column} is not messages", f"turn {number} is {kind_of(item)}")
    turn = cast("dict[str, object]", item)
    for role_key, text_key in _FIELDS:
        if role_key in turn and text_key in turn:
            speaker, content = turn[role_key], turn[text_key]
            break
    else:
        keys = ", ".join(map(quote, list(turn)[:6]))
        raise RowError(f"{column} is not messages", f"turn {number} has the keys {keys}")
    if turn.get("tool_calls"):
        raise RowError("tool calls outside the text", f"{column}, turn {number}")
    role = ROLES.get(speaker.lower()) if isinstance(speaker, str) else None
    if role is None:
        raise RowError("unknown role", f"{column}, turn {number}: {quote(speaker)}")
    if not isinstance(content, str):
        raise RowError("message is not text", f"{column}, turn {number} is {kind_of(content)}")
    return Message(role, content)


def checked_prompt(turns: Turns) -> Turns:
    """The turns, if they can be a prompt: system first or never, a user turn, no answer last."""
    check_order(turns)
    if not any(turn.role == "user" for turn in turns):
        raise RowError("no user turn before the answer")
    last = turns[-1]
    if last.role == "assistant":
        raise RowError("prompt ends with an assistant turn")
    if not last.content.strip():
        raise RowError("empty prompt", f"the last {last.role} turn is {quote(last.content)}")
    return turns


def check_order(turns: Turns) -> None:
    """System turns come first or never; a tool answers an assistant."""
    spoken = False
    for number, turn in enumerate(turns, 1):
        if turn.role == "system" and number > 1:
            raise RowError("system turn after the first", f"turn {number} of {len(turns)}")
        if turn.role == "tool" and not spoken:
            raise RowError("tool turn without a call", f"turn {number} of {len(turns)}")
        spoken = spoken or turn.role == "assistant"


def checked_answer(turns: Turns, column: str) -> Turns:
    """The turns, if they can be a response: assistant first and last, with text to train."""
    if not turns:
        raise RowError(f"empty {column}", "nothing is left after the prompt", broken=False)
    if turns[0].role != "assistant":
        raise RowError(f"{column} starts with no assistant turn", f"its role is {turns[0].role}")
    if turns[-1].role != "assistant":
        raise _no_answer_last(column, turns)
    for turn in turns:
        if turn.role == "assistant" and not turn.content.strip():
            raise RowError(
                f"empty {column}", f"an assistant turn is {quote(turn.content)}", broken=False
            )
        if turn.role == "system":
            raise RowError("system turn after the first", f"inside {column}")
    return turns


def _no_answer_last(column: str, turns: Turns) -> RowError:
    return RowError(f"{column} ends with no assistant turn", f"its role is {turns[-1].role}")


def split_shared(
    chosen: Turns, rejected: Turns, words: tuple[str, str] = ("chosen", "rejected")
) -> tuple[Turns, Turns, Turns]:
    """The turns that two conversations share at their start, and what follows in each.

    The boundary lies between turns, never inside one: `... blue` and `... black` share no
    letters of their answers.

    Raises:
        RowError: they are the same, one does not end with an answer, or they part at a turn that
            the assistant did not say, so the prompts differ.
    """
    for word, turns in zip(words, (chosen, rejected), strict=True):
        if turns[-1].role != "assistant":
            raise _no_answer_last(word, turns)
    if chosen == rejected:
        raise RowError(
            "identical responses", f"{' and '.join(words)} are the same conversation", broken=False
        )
    shared = 0
    for one, other in zip(chosen, rejected, strict=False):
        if one != other:
            roles = {one.role, other.role}
            if not roles <= {"assistant", "tool"}:
                raise RowError("prompts differ", f"{' and '.join(words)} part at turn {shared + 1}")
            break
        shared += 1
    # One may go on where the other ends, or they part at a tool's output: step back to the
    # last place where both have an assistant turn to come.
    while shared and not (_speaks(chosen, shared) and _speaks(rejected, shared)):
        shared -= 1
    return chosen[:shared], chosen[shared:], rejected[shared:]


def _speaks(turns: Turns, index: int) -> bool:
    return index < len(turns) and turns[index].role == "assistant"


def split_first_answer(turns: Turns) -> tuple[Turns, Turns]:
    """What comes before the first assistant turn, and the rest."""
    for index, turn in enumerate(turns):
        if turn.role == "assistant":
            return turns[:index], turns[index:]
    raise RowError("no assistant turn", f"{len(turns)} turns")


def split_last_answer(turns: Turns) -> tuple[Turns, Turns]:
    """What comes up to the last user turn, and the assistant's answer to it, tools and all."""
    for index in range(len(turns), 0, -1):
        if turns[index - 1].role == "user":
            if index == len(turns):
                raise RowError("conversation ends with no answer", "its last turn is the user's")
            return turns[:index], turns[index:]
    raise RowError("no user turn before the answer", f"{len(turns)} turns")
