"""Tokens of chat templates inside a text: `<|im_start|>`, `[INST]`, `</s>`, `### Response:`, …"""

import re

_END = (
    r"</s>|<\|(?:im_end|im_sep|eot_id|eom_id|end|endoftext|end_of_text|end_of_turn|eos|return|"
    r"END_OF_TURN_TOKEN)\|>|<end_of_turn>|<eos>|<\uff5cend\u2581of\u2581sentence\uff5c>"
)
_BEGIN = (
    r"<s>|<bos>|<\|begin_of_text\|>|<\|startoftext\|>|<\uff5cbegin\u2581of\u2581sentence\uff5c>"
)
_ROLE = (
    r"(?:<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>)(?:assistant|model|user)\b"
    r"(?:<\|end_header_id\|>)?|<\|(?:assistant|user)\|>|\[/?INST\]|"
    r"### ?(?:Response|Assistant) ?:|(?:Assistant|ASSISTANT) ?:(?=\s)"
)
_TOKEN = re.compile(
    r"<\|[A-Za-z][A-Za-z0-9_. -]{1,40}\|>"
    r"|<\uff5c[^\uff5c<>\n]{2,40}\uff5c>"
    r"|\[/?INST\]"
    r"|<</?SYS>>"
    r"|<(?:start_of_turn|end_of_turn|bos|eos|pad|unk)>"
)
_STRUCK = re.compile(r"<(/?)s>")
_SPEAKER = re.compile(
    r"(?:^|\n)### ?(?:Response|Instruction|Human|Assistant|User|System) ?:(?=\s|$)"
    r"|(?:^|\n\n)(?:Human|Assistant|USER|ASSISTANT) ?:(?=\s|$)"
)
_AT_START = re.compile(rf"\s*(?:(?:{_BEGIN}|{_ROLE})\s*)*")
_AT_END = re.compile(rf"(?:{_END}|\[/INST\])$")
_LONGEST = 40
"""Letters of the longest token that ends a text, at least."""


def token_at(text: str) -> int:
    """Where a special token of a template stands; -1 if nowhere. One inside code is no fault.

    >>> token_at("Fine.<|im_end|>"), token_at("<s>struck through</s> and more")
    (5, -1)
    """
    if "<" not in text and "INST]" not in text:
        return -1
    found = _first(_TOKEN, text)
    struck = _stray_s(text) if "s>" in text else -1
    return struck if found < 0 or 0 <= struck < found else found


def speaker_at(text: str, prompt: str = "") -> int:
    r"""Where a response goes on with a turn of its own: an empty line and `Human:`, and the like.

    It is none where the prompt uses the same label: a dialogue may be what was asked for.

    >>> speaker_at("Yes.\n\nHuman: And then?")
    4
    """
    found = _SPEAKER.search(text) if _may_speak(text) else None
    if found is None or found[0].strip() in prompt or _in_code(text, found.start()):
        return -1
    return found.start()


def _may_speak(text: str) -> bool:
    """Whether one of the labels is there at all: much faster than their pattern."""
    return (
        "Human" in text
        or "Assistant" in text
        or "### " in text
        or "USER" in text
        or "ASSISTANT" in text
    )


def closing_mark(text: str) -> str:
    """The end-of-turn token at the end of a text; empty if there is none.

    >>> closing_mark("Fine.</s>")
    '</s>'
    """
    tail = text[-2 * _LONGEST :].rstrip()
    found = _AT_END.search(tail) if tail.endswith(">") else None
    if found is None or (found[0] == "</s>" and _stray_s(text) < 0):
        return ""
    return found[0]


def without_marks(text: str) -> str:
    r"""The text without the tokens of a template at its start and end.

    >>> without_marks("<|im_start|>assistant\nFine.<|im_end|>\n")
    'Fine.'
    """
    if token_at(text) < 0 and speaker_at(text) != 0:
        return text
    start = _AT_START.match(text)
    begun = start.end() if start and start[0].strip() else 0
    end = ended = len(text.rstrip())
    while found := _AT_END.search(text[max(begun, end - _LONGEST) : end]):
        end -= len(found[0])
        end = len(text[max(begun, end - _LONGEST) : end].rstrip()) + max(begun, end - _LONGEST)
    return text[begun:end] if end < ended else text[begun:]


def _first(pattern: re.Pattern[str], text: str) -> int:
    places = (one.start() for one in pattern.finditer(text))
    return next((place for place in places if not _in_code(text, place)), -1)


def _in_code(text: str, place: int) -> bool:
    """Whether a place is inside a code fence or between backticks of its line."""
    if text.count("```", 0, place) % 2:
        return True
    line = text.rfind("\n", 0, place) + 1
    return text.count("`", line, place) % 2 == 1


def _stray_s(text: str) -> int:
    """`<s>` and `</s>` are tokens too, unless they strike out a part of the text, as in HTML."""
    opened = -1
    for one in _STRUCK.finditer(text):
        if _in_code(text, one.start()):
            continue
        if not one[1]:
            if opened >= 0:
                return opened
            opened = one.start()
        elif opened < 0:
            return one.start()
        elif not text[:opened].strip() and not text[one.end() :].strip():
            return opened  # all of it: the beginning and the end of a sequence
        else:
            opened = -1
    return opened
