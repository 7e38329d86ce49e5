"""Mends, one for each fault of a row that can be mended.

Each leaves good text as it is, letter by letter, and does nothing when it is applied again. A mend
may leave nothing of a text: then its row can only be left out.
"""

from collections.abc import Sequence
from dataclasses import replace

from preftune.checks.cases import text_of
from preftune.checks.mending.fates import Mends, each_turn, with_turns
from preftune.checks.rows.letters import decoded, invisible_at, is_lost, mojibake_at, visible
from preftune.checks.rows.marks import speaker_at, token_at, without_marks
from preftune.checks.rows.texts import repeat_end
from preftune.records import Form, Group, Message


def decode(text: str) -> str:
    """PC104: text as it was meant, where it was decoded with the wrong character set.

    >>> decode("Itâ€™s so")
    'It’s so'
    """
    while mojibake_at(text) >= 0:  # some files were decoded wrongly twice
        better = decoded(text)
        if better == text or (is_lost(better) and not is_lost(text)):
            break
        text = better
    return text


def uncover(text: str) -> str:
    r"""PC105: without control and invisible characters.

    >>> uncover("zero\u200bwidth")
    'zerowidth'
    """
    return visible(text) if invisible_at(text) >= 0 else text


def cut_marks(group: Group) -> Group:
    """PC109, PC110: without template tokens at the start and the end of the turns.

    Text that is continued may hold the tokens of a template: there the prompt is left alone.
    """
    mended = _CUT(group)
    return replace(mended, prompt=group.prompt) if group.form == "text" else mended


def cut_repeats(group: Group) -> Group:
    """PC103: without the prompt where a response repeats it before it answers."""
    answers = [
        (Message(first.role, cut_repeat(first.content, group.prompt, group.form)), *others)
        for first, *others in (response.turns for response in group.responses)
    ]
    return with_turns(group, group.prompt, answers)


_CUT = each_turn(without_marks)
MENDS: Mends = (
    ("PC104", each_turn(decode)),
    ("PC105", each_turn(uncover)),
    ("PC109", cut_marks),
    ("PC103", cut_repeats),
)
"""In the order in which they are to be done: what is hidden is brought to light first."""


def cut_repeat(response: str, prompt: Sequence[Message], form: Form = "chat") -> str:
    """A response without the prompt that it repeats before it answers.

    >>> cut_repeat("Why is the sky blue? Light.", [Message("user", "Why is the sky blue?")])
    'Light.'
    """
    while (end := repeat_of(response, prompt, form)) >= 0:
        response = response[end:].lstrip(" \n\t:.?!")
    return response


def repeat_of(response: str, prompt: Sequence[Message], form: Form = "chat") -> int:
    """Where the last user turn or all of the prompt ends that a response repeats; -1 if none."""
    end = -1
    for turn in reversed(prompt):
        if turn.role == "user":
            end = repeat_end(response, turn.content, continues=form == "text")
            break
    if end < 0 and len(prompt) > 1:
        end = repeat_end(response, text_of(prompt), continues=form == "text")
    return end


def is_hopeless(code: str, text: str, prompt: str = "") -> bool:
    """Whether a turn of a response still has a fault once it is mended, or is empty then."""
    if code == "PC104":
        return mojibake_at(decode(text)) >= 0
    if code == "PC105":
        return not uncover(text).strip()
    better = without_marks(text)
    return not better.strip() or token_at(better) >= 0 or speaker_at(better, prompt) >= 0
