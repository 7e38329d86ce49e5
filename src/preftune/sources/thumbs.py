"""Thumbs: single responses labelled true (good) or false (bad), and nothing else."""

from collections.abc import Mapping, Sequence

from preftune.records import Rating
from preftune.sources.columns import Columns
from preftune.sources.rows import Row, RowError, kind_of, quote
from preftune.sources.scalars import truth_of

_GOOD, _BAD = Rating(good=True), Rating(good=False)
_LIKE_THUMBS = frozenset((
    "good", "bad", "up", "down", "yes", "no", "like", "dislike", "liked", "disliked", "positive",
    "negative", "pos", "neg", "chosen", "rejected", "desirable", "undesirable", "accepted",
    "correct", "incorrect", "1", "0", "-1", "+1",
))  # fmt: skip
"""Labels that mean a thumb but are none; a file of them must not pass as unlabelled."""


def has_thumbs(names: Mapping[str, str], mapped: set[str], sample: Sequence[Row]) -> bool:
    """Whether `label` is meant as a thumb: mapped, true or false somewhere, or nothing else.

    What only looks like thumbs (1, "good") is refused row by row, and not read as responses
    without a judgement, unless the user maps columns and leaves it out.
    """
    if "label" not in names:
        return False
    values = [row.columns.get(names["label"]) for row in sample]
    if "label" in mapped or any(truth_of(value) is not None for value in values):
        return True
    return not mapped and all(map(_like_a_thumb, values))


def _like_a_thumb(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in _LIKE_THUMBS
    return value is None or (isinstance(value, int | float) and value in (1, 0, -1))


def thumb_of(columns: Columns, row: Row) -> Rating:
    """The row's thumb.

    Raises:
        RowError: its label is anything but true or false.
    """
    value = columns.get(row, "label")
    good = truth_of(value)
    if good is None:
        seen = "null" if value is None else f"{kind_of(value)}: {quote(value)}"
        raise RowError(
            "label is not true or false", f"it is {seen}; write true for good, false for bad"
        )
    return _GOOD if good else _BAD
