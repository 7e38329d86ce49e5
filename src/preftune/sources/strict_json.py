"""JSON as the standard has it: what Python's parser lets through is a fault here.

`json.loads` accepts NaN, turns 1e999 into infinity, lets the last of two equal keys win and
passes lone surrogates, which fail only when the text is written or tokenised.
"""

import json
from math import isfinite
from typing import NamedTuple, cast

from preftune.sources.rows import quote

MAX_DEPTH = 100
MAX_DIGITS = 300
MAX_VALUES = 4_000_000
"""Values in one row: two bytes each in the file, and a hundred in memory."""
_LARGE = 1 << 20


class Fault(NamedTuple):
    """Why a value is refused."""

    reason: str
    detail: str


class StrictDecoder:
    """Decode JSON values and say what is wrong with them.

    Faults inside a value are noted rather than raised, so the reader of an array can go on with
    the next element.

    Args:
        finite: Refuse NaN and infinities. Parquet has them legitimately.
    """

    def __init__(self, *, finite: bool = True) -> None:
        self._faults: list[Fault] = []
        self._finite = finite
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_float=self._float,
            parse_int=self._int,
            parse_constant=self._constant,
        )

    def decode(self, text: str) -> tuple[object, Fault | None]:
        """The value of a whole text and what is wrong with it."""
        self._faults.clear()
        if len(text) > _LARGE and sum(map(text.count, "[{,:")) > MAX_VALUES:
            return None, Fault("too many values", f"more than {MAX_VALUES:,}")
        try:
            value: object = self._decoder.decode(text)
        except json.JSONDecodeError as error:
            return None, Fault("not JSON", f"{error.msg} at character {error.pos + 1}")
        except RecursionError:
            return None, _too_deep()
        return value, self._fault(value, text)

    def element(self, text: str, start: int) -> tuple[object, int, Fault | None]:
        """The value that begins at `start`, where it ends and what is wrong with it.

        Raises:
            json.JSONDecodeError: the text is not JSON there, so nothing after it can be read.
            RecursionError: the value is nested too deeply to be passed over.
        """
        self._faults.clear()
        value, end = cast("tuple[object, int]", self._decoder.raw_decode(text, start))
        return value, end, self._fault(value, text[start:end])

    def _fault(self, value: object, text: str) -> Fault | None:
        if self._faults:
            return self._faults[0]
        # Counting brackets is cheap and bounds the depth, so the walk is rarely needed.
        if text.count("[") + text.count("{") > MAX_DEPTH and _deeper_than(value, MAX_DEPTH):
            return _too_deep()
        if ("\\ud" in text or "\\uD" in text) and not _encodable(value):
            return Fault("lone surrogate", "half of a surrogate pair, which is not text")
        return None

    def _object(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        value = dict(pairs)
        if len(value) != len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))
            self._faults.append(Fault("duplicate key", f"{quote(twice)} appears twice"))
        return value

    def _float(self, text: str) -> float:
        value = float(text)
        if not isfinite(value):
            self._faults.append(Fault("number out of range", f"{quote(text)} is too large"))
        return value

    def _int(self, text: str) -> int:
        if len(text) > MAX_DIGITS:
            self._faults.append(Fault("number out of range", f"an integer of {len(text)} digits"))
            return 0
        return int(text)

    def _constant(self, text: str) -> float:
        if self._finite:
            self._faults.append(Fault("number out of range", f"{text} is not JSON"))
        return float(text)


def _too_deep() -> Fault:
    return Fault("nested too deeply", f"more than {MAX_DEPTH} levels")


def _deeper_than(value: object, limit: int) -> bool:
    level: list[object] = [value]
    for _ in range(limit + 1):
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(cast("dict[str, object]", item).values())
            elif isinstance(item, list):
                inner.extend(cast("list[object]", item))
        if not inner:
            return False
        level = inner
    return True


def _encodable(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
