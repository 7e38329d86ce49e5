"""A plot: a drawing, or a table of bars, with a sentence that says what there is to see."""

from dataclasses import dataclass

from markupsafe import Markup

Bar = tuple[float | None, float, float | None]
"""Low, value and high, each in [0, 1]; low and high may be missing."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """A name, a bar and the numbers behind it."""

    name: str
    bar: Bar | None
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of bars: what has names is read rather than looked at."""

    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing or a table with what it shows in words."""

    name: str
    title: str
    sentence: str
    drawing: Markup | None = None
    table: Table | None = None
    wide: bool = False

    @property
    def anchor(self) -> str:
        """What links to it point at."""
        return f"plot-{self.name}"


def share(value: float) -> str:
    """`94 %`, `9.4 %`; figures below each other, so always as many digits.

    >>> share(0.941), share(0.0941)
    ('94.1 %', '9.4 %')
    """
    return f"{100 * value:.1f} %"


def between(low: float, high: float) -> str:
    """An interval of shares.

    >>> between(0.931, 0.9556)
    '93.1–95.6'
    """
    return f"{100 * low:.1f}–{100 * high:.1f}"
