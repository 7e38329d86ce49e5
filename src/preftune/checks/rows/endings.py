"""How a response ends: properly, openly, or in the middle of something."""

import re
from enum import IntEnum


class Ending(IntEnum):
    """What the end of a text looks like."""

    closed = 0
    """With an end mark, or with something that needs none."""
    unjudged = 1
    """A short answer, a list, code, a title, a script without end marks: nothing can be said."""
    open = 2
    """Prose without an end mark: cut off, or the writer's style."""
    cut = 3
    """With a word, bracket or comma that wants more, or inside a code fence."""


_TAIL = 600
"""Letters at the end that are looked at."""
_UNFINISHED = """
a an the my your our their its every each of and or but nor if because although though while whereas
unless than from into onto upon between among toward towards during without within via is are was
were be been am has have had will would could should may might must shall to very quite whose which
whether i'm i've i'll i'd you're you've you'll we're they're it's that's there's
der die das ein eine einen und oder aber weil le la les un une des du et ou mais que el los las una
pero porque em um uma il lo gli ma che
"""
_WANTS_MORE = frozenset(_UNFINISHED.split())
"""Words that seldom end a sentence; those that do now and then (with, that, in) are left out."""
_END_MARKS = ".!?…。！？\"”’')]*`"
_OPENERS = "([{“‘„«‹（「『【,;:–—，；：、"
_UNMARKED = re.compile(r"[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff]")
"""Scripts that end sentences without a mark: Thai, Lao, Tibetan, Burmese, Khmer."""
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\d_\u3040-\u30ff\u3400-\u9fff]+")
_LONGEST_WORD = 40
_CODE = re.compile(r"[{}=<>\\|#$@_~^]|//|\(\)|\bhttps?:|\bwww\.|\b\w+\.\w+/")
_INDENTED = re.compile(r"\s{4}")
_NEAR = 50
"""Letters before the end in which signs of code mean that it ends with code."""
_ITEM = re.compile(r"\s*(?:[-*•–+]|\(?\d{1,3}[.):]|\(?[a-zA-Z][.)])(?:\s+|$)")
_LONGEST_ITEM = 8
"""Letters of the longest number of an item."""
_HEADING = re.compile(r"\s*(?:#|\*\*.*\*\*:?\s*$)")
_SENTENCE_END = re.compile(r"""[^\W\d]{2}[.!?…]["'”’)]*\s""")
_FEWEST_WORDS = 6
"""Shorter last lines need no end mark, unless a sentence ends before in the same line."""


def ending(text: str) -> Ending:
    """How a text ends.

    >>> ending("It is a long story, and I will tell it to the").name
    'cut'
    """
    tail = text[-_TAIL:].rstrip()
    if not tail:
        return Ending.unjudged
    last = tail[-1]
    if last != "`" and text.count("```") % 2:
        return Ending.cut
    if last.isalpha() and not _UNMARKED.match(last):
        return _without_mark(tail.split("\n"))
    return _with_mark(tail)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case; of scripts without spaces single letters."""
    return _WORD.findall(text.lower())


def last_word(text: str) -> str:
    """The last of its words, whole or not."""
    words = words_of(text[-_LONGEST_WORD:])
    return words[-1] if words else ""


def _with_mark(tail: str) -> Ending:
    """A text that ends with something else than a letter."""
    before, _, line = tail.rpartition("\n")
    if tail[-1] in ".!?" and len(line) > _LONGEST_ITEM:
        return Ending.closed
    if _ITEM.fullmatch(line):  # a list whose next item is missing
        return Ending.cut if before else Ending.unjudged
    if tail[-1] in _OPENERS or _opens_a_quote(tail):
        return Ending.unjudged if _ends_with_code(line) else Ending.cut
    return Ending.cut if tail[-1] in "-‐‑" and tail[-2:-1].isalpha() else Ending.closed


def _opens_a_quote(tail: str) -> bool:
    return tail[-1] == '"' and len(tail) > 1 and tail[-2].isspace()


def _without_mark(lines: list[str]) -> Ending:
    """A text that ends with a letter."""
    line = lines[-1]
    if _ends_with_code(line) or _HEADING.match(line) or _is_title(line):
        return Ending.unjudged
    item = bool(_ITEM.match(line))
    after_sentence = bool(_SENTENCE_END.search(line))
    words = line.split()
    if _lines_stay_open(lines[:-1], item=item) and not after_sentence:
        return Ending.unjudged
    if len(words) > 2 and words[-1].lower().replace("’", "'") in _WANTS_MORE:
        return Ending.cut
    long = len(words) >= _FEWEST_WORDS or len(_UNSPACED.findall(line)) >= 12
    return Ending.open if long or after_sentence else Ending.unjudged


def _ends_with_code(line: str) -> bool:
    return bool(_INDENTED.match(line) or _CODE.search(line[-_NEAR:]))


def _is_title(line: str) -> bool:
    """Headlines have no end mark: most of their longer words are capitalised."""
    long = [word for word in line.split() if len(word) > 3]
    return len(long) > 3 and sum(word[0].isupper() for word in long) > 0.6 * len(long)


def _lines_stay_open(lines: list[str], *, item: bool) -> bool:
    """Whether the lines before end without marks too, as in lists, poems and tables."""
    before = [line.rstrip() for line in lines if line.strip() and not _HEADING.match(line)]
    if item:
        before = [line for line in before if _ITEM.match(line)]
        return not before or any(line[-1] not in _END_MARKS for line in before)
    before = [line for line in before if line[-1] != ":"][-4:]
    return 2 * sum(line[-1] in _END_MARKS for line in before) < len(before)
