"""The account of rows: rows in = used + excluded by reason, always."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A row that is not used, and why."""

    source: str
    """`file:line` of the row."""
    reason: str
    """Short and countable, such as `empty chosen` or `identical responses`."""
    detail: str = ""
    """What was seen, for a person."""
    broken: bool = True
    """A broken row is an error unless the user says to skip; others (over length) are policy."""
    expected: bool = False
    """The layout has such rows by nature, as a tree has places with one reply: counted, and no
    reason to doubt the file however many they are."""


@dataclass(frozen=True, slots=True)
class Intake:
    """How many rows came in, how many are used, and each exclusion."""

    rows: int
    used: int
    exclusions: tuple[Exclusion, ...] = field(default=())

    def __post_init__(self) -> None:
        assert self.rows == self.used + len(self.exclusions), "rows in = used + excluded"

    @property
    def by_reason(self) -> dict[str, int]:
        """Number of excluded rows for each reason, most frequent first."""
        return dict(Counter(exclusion.reason for exclusion in self.exclusions).most_common())

    def then(self, exclusions: Iterable[Exclusion]) -> "Intake":
        """The account after a later stage excluded some of the used rows."""
        more = tuple(exclusions)
        return Intake(self.rows, self.used - len(more), self.exclusions + more)

    def summary(self) -> str:
        """`1,600 rows: 1,598 used, 2 excluded (2 identical responses)`.

        >>> Intake(2, 1, (Exclusion("f:2", "empty chosen"),)).summary()
        '2 rows: 1 used, 1 excluded (1 empty chosen)'
        """
        text = f"{self.rows:,} rows: {self.used:,} used, {len(self.exclusions):,} excluded"
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.by_reason.items())
        return f"{text} ({reasons})" if reasons else text
