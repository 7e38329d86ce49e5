"""`check`: read a file and say what a model will learn from it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from preftune.checks.cases import Check
from preftune.checks.examine import gather, run_checks
from preftune.checks.formatting import Formatting
from preftune.checks.rows import RowFaults
from preftune.checks.shortcuts import Shortcuts
from preftune.checks.sides import Sides
from preftune.records import Examination, Exclusion, Group, Silent, Watch
from preftune.sources import Stream, stream

Depth = Literal["quick", "full"]
"""`quick`: what every training run starts with. `full`: also near repeats, words, label noise."""


@dataclass(slots=True)
class File:
    """A file that can be streamed again and again."""

    name: str
    mapping: Mapping[str, str] | None = None
    split: str | None = None
    limit: int | None = None
    opened: Stream | None = field(default=None, init=False)
    """The first pass's stream: its layout, and its fingerprint once it is over."""

    def __call__(self) -> Iterator[Group | Exclusion]:
        """The rows from the first one on."""
        stream_ = stream(self.name, mapping=self.mapping, split=self.split, limit=self.limit)
        self.opened = self.opened or stream_
        return stream_.items


def check(
    data: str,
    *,
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
    limit: int | None = None,
    depth: Depth = "full",
    watch: Watch | None = None,
) -> Examination:
    """Examine a file.

    Raises:
        DataError: PT100 to PT107: nothing can be read.
        ConfigError: the mapping, the split or the limit does not fit.
    """
    watch = watch or Silent()
    file = File(data, mapping, split, limit)
    passed = run_checks(file, checks_of(depth), watch)
    assert file.opened is not None
    return gather(
        file,
        passed,
        data=data,
        layout=file.opened.sentence,
        fingerprint=file.opened.fingerprint(),
    )


def check_groups(groups: Sequence[Group], exclusions: Sequence[Exclusion] = ()) -> Examination:
    """The quick checks on data that was read already."""

    def items() -> Iterator[Group | Exclusion]:
        yield from exclusions
        yield from groups

    return gather(items, run_checks(items, checks_of("quick"), Silent()))


def checks_of(depth: Depth) -> list[Check]:
    """Fresh checks, in the order in which their findings are told."""
    return [
        RowFaults(),
        Sides(),
        Shortcuts(),
        Formatting(),
    ]
