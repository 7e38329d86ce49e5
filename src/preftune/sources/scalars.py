"""Numbers and truth values as files spell them: JSON has both, CSV has only text."""

import math
import re

from preftune.sources.rows import RowError, kind_of, quote

LARGEST = 1e30
"""Losses are float32: beyond it differences and products would overflow."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_NOTHING = frozenset(("", "n/a", "na", "nan", "null", "none"))
_TRUTH = {"true": True, "false": False}


def number_of(value: object, what: str) -> float | None:
    """The number, or none where the file says that there is none: null, NaN, empty or `N/A`.

    Raises:
        RowError: it is something else, or too large to be reckoned with.

    Example:
        >>> number_of(7, "score"), number_of("7.5", "score"), number_of("N/A", "score")
        (7.0, 7.5, None)
    """
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in _NOTHING:
            return None
        if not _NUMBER.fullmatch(text):
            raise RowError(f"{what} is not a number", f"it is text: {quote(value)}")
        value = text
    elif value is None:
        return None
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise RowError(f"{what} is not a number", f"it is {kind_of(value)}: {quote(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isnan(number):
        return None
    if abs(number) > LARGEST:
        raise RowError(f"{what} is too large", f"it is {quote(value)}")
    return number


def is_number(value: object) -> bool:
    """Whether `number_of` finds a number in the value.

    Example:
        >>> is_number(0), is_number("1e-3"), is_number(True), is_number(None), is_number("high")
        (True, True, False, False, False)
    """
    try:
        return number_of(value, "") is not None
    except RowError:
        return False


def truth_of(value: object) -> bool | None:
    """True and false, in JSON or as the words, in any case; none for anything else.

    Numbers are no truth values here: where others read 1 and -1, -1 has counted as true.

    Example:
        >>> truth_of(False), truth_of("TRUE"), truth_of(1), truth_of("good")
        (False, True, None, None)
    """
    if isinstance(value, bool):
        return value
    return _TRUTH.get(value.strip().lower()) if isinstance(value, str) else None
