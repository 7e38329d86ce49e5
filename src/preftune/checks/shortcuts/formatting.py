"""Pairs whose sides say the same words and differ in formatting only."""

from __future__ import annotations

import re
import unicodedata
from array import array
from dataclasses import dataclass, field

from preftune.checks.cases import Account, Case, Conclusion
from preftune.checks.finding import finding, many, percent
from preftune.records import Example, Severity

_NUMBERED = re.compile(r"^[ \t>]*\d{1,3}[.)][ \t]", re.MULTILINE)
"""The number of a list item."""
_MARKUP = re.compile(
    r"""
      ```\w*                                                          # a fence and its language
    | \]\([^()\s]{0,2000}\)                                           # where a link leads
    | </?(?:b|i|u|em|strong|p|br|ul|ol|li|h[1-6]|code|pre|hr)[ ]?/?>  # plain HTML
    """,
    re.VERBOSE | re.IGNORECASE,
)
_DIGITS = re.compile(r"\d")
_MARKED = re.compile(r"[`<\]]")
"""Without any of these `_MARKUP` finds nothing: most texts need no second look."""
_LETTERS = re.compile(r"[^\W_]+")
_HEAD = 120
"""Letters that are compared first: sides that differ mostly differ at once."""
_COMPARED = 20
_STYLING = "\ufe0e\ufe0f\u20e3"
"""Marks that make an emoji of a character: no letters, though marks of others are."""

_ALL = 0.9
"""Above: the file teaches formatting. The rest may be pairs with typing errors."""
_SOME = 0.01
"""Above: worth a look. Below, a few pairs don't carry what is learned."""


def same_but_for_formatting(one: str, other: str) -> bool:
    r"""Whether two texts have the same words: markdown, space, case, punctuation and emoji apart.

    >>> same_but_for_formatting("# Yes\n1. **Do** it!", "yes - do it")
    True
    """
    if _differ_at_once(one, other):
        return False
    bare = [_NUMBERED.sub(" ", text) for text in (one, other)]
    return _same(one, other) or _same(*bare)  # "1." alone in its line looks like a number


def _differ_at_once(one: str, other: str) -> bool:
    if "](" in one or "](" in other:  # a link cut in the middle would look like text
        return False
    first, second = (_letters(_NUMBERED.sub(" ", text[:_HEAD])) for text in (one, other))
    if len(first) < _COMPARED or len(second) < _COMPARED:
        return False
    first, second = first[:_COMPARED], second[:_COMPARED]
    return first != second and not _DIGITS.search(first + second)


def _same(one: str, other: str) -> bool:
    return _letters(one) == _letters(other) and _exact(one) == _exact(other)


def _letters(text: str) -> str:
    plain = _MARKUP.sub(" ", text) if _MARKED.search(text) else text
    return "".join(_LETTERS.findall(plain)).casefold()


def _exact(text: str) -> str:
    """As `_letters`, with the vowel signs and accents that many scripts write as marks."""
    kept = (one for one in _MARKUP.sub(" ", text) if unicodedata.category(one)[0] in "LMN")
    return "".join(kept).translate(dict.fromkeys(map(ord, _STYLING))).casefold()


@dataclass(slots=True)
class Formatting:
    """PC407: pairs that differ in formatting only."""

    _rows: array[int] = field(default_factory=lambda: array("L"))
    _pairs: array[int] = field(default_factory=lambda: array("L"))

    def see(self, case: Case) -> None:
        """Compare the sides of each pair."""
        texts = case.responses
        for number, pair in enumerate(case.pairs):
            if same_but_for_formatting(texts[pair.winner], texts[pair.loser]):
                self._rows.append(case.index)
                self._pairs.append(number)

    def conclude(self, account: Account) -> Conclusion:
        """Tell how many there are."""
        count, total = len(self._rows), account.pairs
        if not count:
            return Conclusion()
        share = count / total
        level = Severity.warning if share >= _SOME else Severity.info
        whole = f"{many(count, 'pair')} ({percent(share)})"
        if share >= _ALL:
            level = Severity.error
            whole = "all pairs" if count == total else f"nearly all pairs ({percent(share)})"
        sentence = f"{whole} {'differs' if count == 1 else 'differ'} in formatting only."
        places = zip(self._rows, self._pairs, strict=True)
        examples = (Example(row, pair=pair) for row, pair in places)
        return Conclusion(
            [finding("PC407", level, sentence, count, total, unit="pairs", examples=examples)]
        )
