"""The plots of an examination: each draws one of its figures and says what there is to see."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class TableRow:
    """A name, a bar and the numbers behind it."""

    name: str
    bar: tuple[float | None, float, float | None, float | None] | None
    """Low, value, high and chance, each in [0, 1]; all but the value may be missing."""
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


def plots_of(figures: Mapping[str, object]) -> Iterator[Plot]:
    """A plot for each figure that is there."""
    yield from ()
