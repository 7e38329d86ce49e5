"""Broken and invisible characters in a text, and what they were meant to be."""

import re

# ftfy's own look at every letter costs half a microsecond each. Nearly all UTF-8 that was decoded
# as something else holds one of these beginnings of a sequence; good text in most languages does
# not, so ftfy sees only texts that may be bad.
_MAYBE_BAD = re.compile(
    r"[\x80-\x9f]"  # C1: Latin-1
    r"|[ÂÃ] "
    r"|[\u00c0-\u024f][\x80-\xbf\u0100-\u017f\u0192-\u02dd\u2010-\u2122]"  # Western and Central
    r"|[\u00c0-\u00ff][\u00c0-\u00ff]"
    r"|вЂ|[ВГРС][^а-яА-ЯёЁ\x00-\x7f]"  # Windows-1251
    r"|β€|[ΒΓΞΟ][^\u0370-\u03ff\x00-\x7f]"  # Windows-1253, DOS
    r"|[¬√≈∆ƒ‚┬├╬π][^\x00-\x7f]"  # Macintosh, DOS
)
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_TYPOGRAPHIC = frozenset("‘’“”–—…•é°®™€£")
"""What English text holds beside ASCII, mostly: none of it alone is a fault."""
_LOST = "\ufffd"

_JOINING = r"\u0600-\u0dff\u0f00-\u109f\u1780-\u18af\ua840-\ua87f\ua900-\uaaff\U00010d00-\U00011fff"
"""Scripts in which letters join or not as invisible characters say: Arabic, Indic, Mongolian."""
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u0f00-\u0fff"
"""Scripts without spaces, in which an invisible one says where a line may break: Thai, Khmer."""
_EMOJI = r"\u00a9\u00ae\u200d\u203c-\u3299\ufe0f\U0001f000-\U0001faff"

_SUSPICIOUS = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u3164\ue000-\uf8ff\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f"
    r"\U000f0000-\U0010ffff]"
)
_INVISIBLE = re.compile(
    r"\x1b\[[0-9;?]*[A-Za-z]"  # colours of a terminal, letters and all
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u115f\u1160\u180e\u202d\u202e\u2060-\u2065"
    r"\u206a-\u206f\u3164\ue000-\uf8ff\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\U000e0000\U000e0001"
    r"\U000f0000-\U0010ffff]"
    rf"|\u200b(?<![{_UNSPACED}]\u200b)(?![{_UNSPACED}])"
    rf"|\u200c(?<![{_JOINING}]\u200c)(?![{_JOINING}])"
    rf"|\u200d(?<![{_JOINING}{_EMOJI}]\u200d)"
    # Letters of a flag, such as Scotland's: after a black flag only.
    r"|(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0020-\U000e007f]+"
)
_DIRECTION = re.compile(r"[\u061c\u200e\u200f\u202a-\u202c\u2066-\u2069]")
_RIGHT_TO_LEFT = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_ASCII_CONTROLS = bytes({*range(32), 127} - set(b"\n\t\r"))


def mojibake_at(text: str) -> int:
    """Where text begins that was decoded with the wrong character set, or lost; -1 if nowhere.

    >>> mojibake_at("Itâ€™s so"), mojibake_at("It’s très bien")
    (2, -1)
    """
    if _is_plain(text):
        return -1
    lost = text.find(_LOST)
    if lost >= 0:
        return lost
    maybe = _MAYBE_BAD.search(text)
    if maybe is None:
        return -1
    from ftfy.badness import BADNESS_RE

    bad = BADNESS_RE.search(text, max(0, maybe.start() - 2))
    return bad.start() if bad and decoded(text) != text else -1


def _is_plain(text: str) -> bool:
    """Whether a text holds ASCII and a few signs that never touch each other."""
    if text.isascii():
        return True
    runs = _BEYOND_ASCII.findall(text)
    return len(max(runs, key=len)) == 1 and _TYPOGRAPHIC.issuperset(runs)


def decoded(text: str) -> str:
    """The text as it was meant, where it was decoded with the wrong character set.

    >>> decoded("Itâ€™s so")
    'It’s so'
    """
    if text.isascii():
        return text
    from ftfy import TextFixerConfig, fix_encoding

    # A sequence of which a part is gone can't be repaired: it would be replaced by `U+FFFD`.
    return fix_encoding(text, TextFixerConfig(explain=False, replace_lossy_sequences=False))


def is_lost(text: str) -> bool:
    """Whether characters are gone for good: a `U+FFFD` stands where they were."""
    return _LOST in text


def invisible_at(text: str) -> int:
    """Where a control or invisible character stands that no script or emoji needs; -1 if nowhere.

    Line breaks and tabs are none; joiners are meant inside emoji and in scripts that use them,
    marks of direction in text that runs both ways.

    >>> invisible_at("zero\u200bwidth"), invisible_at("family: 👨‍👩‍👧")
    (4, -1)
    """
    if text.isascii():
        if len(text.encode().translate(None, _ASCII_CONTROLS)) == len(text):
            return -1
    elif _SUSPICIOUS.search(text) is None:
        return -1
    found = [one.start() for one in (_INVISIBLE.search(text), _stray(text)) if one]
    return min(found, default=-1)


def _stray(text: str) -> re.Match[str] | None:
    """A mark of direction in text that runs in one direction only."""
    return None if _RIGHT_TO_LEFT.search(text) else _DIRECTION.search(text)


def visible(text: str) -> str:
    """The text without its control and invisible characters.

    >>> visible("zero\u200bwidth")
    'zerowidth'
    """
    text = _INVISIBLE.sub("", text)
    return text if _RIGHT_TO_LEFT.search(text) else _DIRECTION.sub("", text)


def made_visible(text: str) -> str:
    r"""The text with its invisible characters spelled out, for a person or a terminal.

    >>> made_visible("zero\u200bwidth")
    'zero<U+200B>width'
    """

    def spelled(one: re.Match[str]) -> str:
        return "".join(f"<U+{ord(letter):04X}>" for letter in one[0])

    text = _INVISIBLE.sub(spelled, text)
    return text if _RIGHT_TO_LEFT.search(text) else _DIRECTION.sub(spelled, text)
