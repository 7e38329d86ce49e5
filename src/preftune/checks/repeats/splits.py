"""Which rows of a file that comes pre-split are held out."""

from collections.abc import Mapping

HELD_OUT = frozenset(
    ("test", "validation", "valid", "val", "dev", "eval", "evaluation", "held_out", "held-out")
)
"""What a column `split` calls rows that are not trained on; `test_prefs` counts as `test`."""


def is_held_out(metadata: Mapping[str, object]) -> bool | None:
    """Whether a row's column `split` says that it is not trained on; none where it has none.

    >>> is_held_out({"split": "Test"}), is_held_out({"split": "train"}), is_held_out({})
    (True, False, None)
    """
    split = metadata.get("split")
    if not isinstance(split, str):
        return None
    name = split.strip().lower()
    return name in HELD_OUT or name.partition("_")[0] in HELD_OUT
