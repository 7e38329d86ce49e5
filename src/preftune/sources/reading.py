"""Read preference data: every row becomes a group, or is accounted for."""

import gc
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from preftune.errors import DataError
from preftune.records import Exclusion, Group, Intake, Watch
from preftune.sources.contents import contents
from preftune.sources.streaming import Stream, stream

MOST_WITHOUT_SIGNAL = 0.05
"""Share of rows with nothing to teach above which the file is not what its user thinks. Published
preference data holds a few in a thousand; refusing them all would teach people to skip blindly."""
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Reading:
    """What came out of a file."""

    groups: list[Group]
    intake: Intake
    layout: str
    """How the rows were understood, as a sentence to announce."""
    fingerprint: str
    """sha256 of the file's bytes as hex; of the rows for hub data."""
    notes: tuple[str, ...] = ()
    """What the judgements hold and what was left out inside rows, as sentences to announce."""


def read(
    path_or_hub: str,
    *,
    mapping: Mapping[str, str] | None = None,
    bad_rows: Literal["error", "skip"] = "error",
    split: str | None = None,
    limit: int | None = None,
) -> Reading:
    """Read pairs, thumbs, rankings, ratings or responses.

    Args:
        path_or_hub: `.jsonl`, `.json`, `.csv`, `.tsv` (each also `.gz`), `.parquet`, a folder
            written by `datasets`, or a hub name `owner/name`.
        mapping: Our word for a column to the file's column: `{"chosen": "good"}`. A dotted column
            is what lies inside one: `{"scores": "completions.fine-grained_score"}`.
        bad_rows: Broken rows are an error, or are left out and counted. Rows without a signal
            (an empty response, two identical ones) are left out and counted in either case, unless
            they are more than `MOST_WITHOUT_SIGNAL` of all: then they are an error too. Places of
            a tree with nothing to compare are counted and are never an error.
        split: Split of a hub data set.
        limit: Look at the first rows only, so many.

    Returns:
        The groups in file order, and the account of rows: in = used + excluded. A tree gives
        several rows, one for each of its places.

    Raises:
        DataError: PT100 to PT107, in words for a person.
        ConfigError: the mapping, the split or the limit does not fit.
    """
    opened = stream(path_or_hub, mapping=mapping, split=split, limit=limit)
    with _collector_paused():
        groups, exclusions = _gathered(opened)
    intake = Intake(len(groups) + len(exclusions), len(groups), tuple(exclusions))
    if not groups or (bad_rows == "error" and _too_bad(intake)):
        raise _refused(path_or_hub, intake, skip=bad_rows == "skip")
    assert opened.layout is not None, "groups come from a layout"
    sentence = opened.layout.sentence
    if opened.layout.unfold:
        sentence += f"; {intake.rows:,} places from {opened.folded:,} rows of the file"
    sentence += f" ({opened.note})" if opened.note else ""
    inside = [f"{what}: {count:,}." for what, count in opened.layout.counts.items() if count]
    return Reading(groups, intake, sentence, opened.fingerprint(), (*contents(groups), *inside))


@contextmanager
def _collector_paused() -> Generator[None, None, None]:
    """Rows hold no cycles, and walking all of them again and again is a quarter of the time."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def announce(reading: Reading, name: str, watch: Watch) -> None:
    """Say how the data was understood, what it holds, and the first rows left out."""
    watch.say(f"{name}: {reading.layout}")
    for note in reading.notes:
        watch.say(f"{name}: {note}")
    watch.say(f"{name}: {reading.intake.summary()}")
    unexpected = [item for item in reading.intake.exclusions if not item.expected]
    for exclusion in unexpected[:_SHOWN]:
        watch.say(f"  {exclusion.source}: {exclusion.reason}. {exclusion.detail}".rstrip())
    more = len(unexpected) - _SHOWN
    if more > 0:
        watch.say(f"  and {more:,} more")


def _too_bad(intake: Intake) -> bool:
    """Whether the excluded rows make the file an error."""
    unexpected = [item for item in intake.exclusions if not item.expected]
    judged = intake.used + len(unexpected)
    broken = any(exclusion.broken for exclusion in unexpected)
    return broken or len(unexpected) > MOST_WITHOUT_SIGNAL * judged


def _gathered(opened: Stream) -> tuple[list[Group], list[Exclusion]]:
    groups: list[Group] = []
    exclusions: list[Exclusion] = []
    for item in opened.items:
        if isinstance(item, Exclusion):
            exclusions.append(item)
        else:
            groups.append(item)
    return groups, exclusions


def _refused(name: str, intake: Intake, *, skip: bool) -> DataError:
    unexpected_first = sorted(intake.exclusions, key=lambda exclusion: exclusion.expected)
    shown = [
        f"  {exclusion.source}: {exclusion.reason}"
        + (f" ({exclusion.detail})" if exclusion.detail else "")
        for exclusion in unexpected_first[:_SHOWN]
    ]
    more = len(intake.exclusions) - _SHOWN
    shown += [f"  … and {more:,} more"] if more > 0 else []
    listing = "\n".join([intake.summary() + ":", *shown])
    if not intake.used:
        return DataError(
            "PT106" if skip else "PT104",
            f"no row can be used. {listing}",
            why="there is nothing to train on.",
            fix="mend the rows. If all fail alike, the file is of another kind or layout than it "
            "seems: check its name, or name its columns with --map.",
            where=name,
        )
    broken = any(exclusion.broken for exclusion in intake.exclusions)
    what = "rows are broken" if broken else "too many rows have nothing to teach"
    return DataError(
        "PT104",
        f"{what}. {listing}",
        why="trained on silently they would teach nothing, or the wrong thing.",
        fix="mend them, or go on without them and have them counted: --bad-rows skip.",
        where=name,
    )
