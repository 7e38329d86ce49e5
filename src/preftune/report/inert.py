"""Text of unknown origin for a page: shown as it is written, obeyed by nothing.

Jinja escapes what HTML would obey. What remains are characters that a reader can't see, or that
move the others: terminal escapes, overrides of the writing direction, zero-width letters. Each
is shown as a small mark with its number.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby

from markupsafe import Markup, escape

_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffc")
"""Characters without ink that are letters, marks or symbols by their category."""
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_RUNS = re.compile(r"([ -~\n\t]+)|[^ -~\n\t]{1,1000}")
"""Plain letters, and a thousand others at a time."""
_JOINERS = frozenset("\u200c\u200d")


def inert(text: str, room: int = 50_000) -> Markup:
    r"""Several lines, isolated from the writing direction around them.

    Args:
        text: Anything.
        room: Letters of HTML that it may take; what is longer is cut, and says so.

    Example:
        >>> print(inert("<b>\x1b"))
        <bdi>&lt;b&gt;<span class="mark" title="ESCAPE">U+001B</span></bdi>
    """
    pieces: list[Markup] = []
    left = room
    shown = 0
    text = text.replace("\r\n", "\n")
    for piece, length in _pieces(text):
        left -= len(piece)
        if left < 0:
            break
        pieces.append(piece)
        shown += length
    rest = len(text) - shown
    cut = (
        Markup('<span class="cut">… {} more characters</span>').format(f"{rest:,}") if rest else ""
    )
    return Markup("<bdi>{}</bdi>{}").format(Markup("").join(pieces), cut)


def prose(text: str) -> Markup:
    """A sentence of ours: what stands between backticks is code.

    >>> print(prose("leave them out: `--fix` does."))
    leave them out: <code><bdi>--fix</bdi></code> does.
    """
    parts = text.split("`")
    if len(parts) % 2 == 0:  # an odd backtick is one of the data's
        return _plain(text)
    shown = (
        Markup("<code>{}</code>").format(inert(part)) if number % 2 else _plain(part)
        for number, part in enumerate(parts)
    )
    return Markup("").join(shown)


def _plain(text: str) -> Markup:
    """As `inert`; an element of its own only where the letters could turn others round."""
    shown = escape(text) if text.isascii() and text.isprintable() else inert(text)
    return shown.replace(" %", "\N{NO-BREAK SPACE}%")


def _pieces(text: str) -> Iterator[tuple[Markup, int]]:
    """Runs of visible characters in steps of 100, and marks for the others, with their lengths."""
    for run in _RUNS.finditer(text):
        start, end = run.span()
        if run[1]:
            yield from _steps(text, start, end)
            continue
        hidden = (text[at] if _unseen(text, at) else "" for at in range(start, end))
        for char, same in groupby(hidden):
            length = sum(1 for _ in same)
            if char:
                yield _mark(char, length), length
            else:
                yield from _steps(text, start, start + length)
            start += length


def _steps(text: str, start: int, end: int) -> Iterator[tuple[Markup, int]]:
    for at in range(start, end, 100):
        part = text[at : min(at + 100, end)]
        yield escape(part), len(part)


def _unseen(text: str, index: int) -> bool:
    char = text[index]
    if char.isprintable() and not _blank(char):
        return False
    if char in _JOINERS:  # joined emoji and the scripts that need them stay whole
        around = text[max(0, index - 1) : index] + text[index + 1 : index + 2]
        return len(around) < 2 or any(one.isascii() or not one.isprintable() for one in around)
    return unicodedata.category(char) in _INVISIBLE or _blank(char)


def _blank(char: str) -> bool:
    return char in _UNSEEN or "\U000e0100" <= char <= "\U000e01ef"


def _mark(char: str, times: int) -> Markup:
    name = unicodedata.name(char, "") or _CONTROLS.get(char, "no character")
    count = f" × {times:,}" if times > 1 else ""
    return Markup('<span class="mark" title="{}">U+{:04X}{}</span>').format(name, ord(char), count)


_CONTROLS = {
    "\0": "NULL", "\x07": "BELL", "\x08": "BACKSPACE", "\x0b": "LINE TABULATION",
    "\x0c": "FORM FEED", "\r": "CARRIAGE RETURN", "\x1b": "ESCAPE", "\x7f": "DELETE",
    "\x9b": "CONTROL SEQUENCE INTRODUCER",
}  # fmt: skip
"""Names of control characters, which Unicode leaves without."""
