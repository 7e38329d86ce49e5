"""`--fix`: write a mended copy of the data, and a log of every change."""

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from preftune.checks.examine import run_checks
from preftune.checks.mending.copies import copy_and_log, written_together
from preftune.checks.mending.fates import fates
from preftune.checks.mending.mended import Fate, Mended
from preftune.checks.mending.mends import MENDS
from preftune.checks.run import File, checks_of
from preftune.errors import DataError
from preftune.records import Examination, Group, Silent, Watch
from preftune.sources.writing import written
from preftune.sources.written import needs_of


def mend(
    file: File, examination: Examination, out: str | Path, watch: Watch | None = None
) -> Mended:
    """Write a mended copy of a file as JSON Lines, and beside it a log of every change.

    Rows that can't be used, and rows that the examination drops, are left out; texts are mended in
    all others. What comes out empty or identical by that, or turns out to repeat or contradict
    another row, is left out, too, so that a mended copy needs no mending. The data is streamed, and
    the copy takes its name only once it is complete.

    Args:
        file: The data, as it was examined.
        examination: Of the same data.
        out: A new `.jsonl` file; the log is its name with `.changes.jsonl`.
        watch: Hears how many rows were seen.

    Raises:
        ConfigError: PT308, `out` can't be used, or something stands there.
        DataError: PT106 no row is left, PT108 a row can't be written.
        ResourceError: PT600, the disk is full.
    """
    path, log = copy_and_log(out, file.name)
    fixing = _Fixing(file, dict(examination.drops))
    fixing.settle(watch or Silent())
    needs = needs_of(fixing.groups())
    account, dropped, changed = Counter[str](), Counter[str](), Counter[str]()
    with written_together(path, log) as (copy, changes):
        logged = _logged(fixing.fates(), changes, account, dropped, changed)
        for _, line in written(_groups(logged), needs):
            copy.write(line + "\n")
        if not account["written"]:
            raise _nothing_left(file.name, dropped)
    return Mended(
        out=path,
        log=log,
        rows=account["rows"],
        written=account["written"],
        dropped=dict(dropped.most_common()),
        changed=dict(changed.most_common()),
    )


@dataclass(slots=True)
class _Fixing:
    """The data, and which of its used rows are left out."""

    file: File
    drops: dict[int, str]

    def fates(self) -> Iterator[Fate]:
        """What becomes of each row."""
        return fates(self.file(), self.drops, MENDS)

    def groups(self) -> Iterator[Group]:
        """What is left, mended."""
        return _groups(self.fates())

    def settle(self, watch: Watch) -> None:
        """Find all rows to leave out: mended texts may repeat or contradict each other as they did
        not before, so what is left is examined again until nothing more has to go.
        """
        if not self.drops and not any(fate.changes for fate in self.fates() if fate.group):
            return
        while more := self._more_drops(watch):
            self.drops |= more

    def _more_drops(self, watch: Watch) -> dict[int, str]:
        numbers = array("q")

        def left() -> Iterator[Group]:
            for fate in self.fates():
                if fate.group:
                    numbers.append(fate.number)
                    yield fate.group

        passed = run_checks(left, checks_of("quick"), watch)
        return {
            numbers[row]: code
            for conclusion in reversed(passed.conclusions)  # the first check gives the reason
            for row, code in conclusion.drops.items()
        }


def _groups(of: Iterable[Fate]) -> Iterator[Group]:
    return (fate.group for fate in of if fate.group)


def _logged(
    of: Iterable[Fate],
    log: IO[str],
    account: Counter[str],
    dropped: Counter[str],
    changed: Counter[str],
) -> Iterator[Fate]:
    """The same, each change written to the log and counted on the way."""
    for fate in of:
        account["rows"] += 1
        account["written"] += fate.group is not None
        for change in fate.changes:
            log.write(json.dumps(asdict(change), ensure_ascii=False) + "\n")
            if change.action == "dropped":
                dropped[f"{change.code} {change.what}".strip()] += 1
            else:
                changed[f"{change.code} {change.what}"] += 1
        yield fate


def _nothing_left(name: str, dropped: Counter[str]) -> DataError:
    listed = ", ".join(f"{count:,} {what}" for what, count in dropped.most_common(5))
    return DataError(
        "PT106",
        f"no row is left once the data is mended: {listed}",
        why="an empty copy would be of no use.",
        fix="mend the data where it was made.",
        where=name,
    )
