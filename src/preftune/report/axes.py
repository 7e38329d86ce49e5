"""What several drawings share: bars with their numbers, outlines of histograms."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from preftune.report.drawing import BAR, FIRST, MUTED, SECOND
from preftune.report.plot import share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"chosen": FIRST, "rejected": SECOND, "prompt": MUTED, "response": FIRST}
"""A part of a row looks the same wherever it is drawn."""
_WRITTEN, _LARGE = 8, 0.02
"""Up to so many bars have their shares on top, of more bars those with so large a share."""


def outline(axes: "Axes", edges: Sequence[float], counts: Sequence[int], part: str) -> None:
    """A histogram as a line with a pale filling, in shares of its own total."""
    total = sum(counts)
    if not total:
        return
    heights = [100 * count / total for count in counts]
    dashed = "--" if part == "prompt" else "-"
    colour = COLOURS[part]
    axes.stairs(heights, edges, color=colour, linewidth=1.6, linestyle=dashed, label=part)
    if part != "prompt":
        axes.stairs(heights, edges, color=colour, fill=True, alpha=0.13)


def upright(axes: "Axes", names: Sequence[str], counts: Sequence[int]) -> None:
    """Bars side by side with their share of all on top, as far as there is room to write it."""
    total = sum(counts)
    shares = [count / total for count in counts]
    axes.bar(range(len(counts)), shares, width=0.72, color=BAR)
    for place, value in enumerate(shares):
        if len(counts) <= _WRITTEN or value >= _LARGE:
            _written(axes, share(value), (place, value), (0, 3), "center")
    axes.set_xticks(range(len(counts)), names)
    axes.tick_params(axis="x", length=0)
    axes.margins(y=0.12)
    axes.yaxis.set_visible(False)
    axes.grid(visible=False)


def lying(
    axes: "Axes", names: Sequence[str], sides: Mapping[str, Sequence[float]], limit: float = 1.0
) -> None:
    """Bars below each other, one for each side, with their shares beside them."""
    step = 0.8 / len(sides)
    for number, (side, shares) in enumerate(sides.items()):
        places = [place + step * number for place in range(len(names))]
        axes.barh(places, shares, height=0.88 * step, color=COLOURS[side], label=side)
        for place, value in zip(places, shares, strict=True):
            _written(axes, share(value), (value, place), (4, 0), "left")
    axes.set_yticks([place + 0.4 - step / 2 for place in range(len(names))], names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15 * limit)
    axes.xaxis.set_visible(False)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    if len(sides) > 1:
        axes.legend(ncols=len(sides), loc="lower right")


def _written(
    axes: "Axes", text: str, at: tuple[float, float], off: tuple[float, float], side: str
) -> None:
    upper = "bottom" if side == "center" else "center"
    axes.annotate(
        text, at, xytext=off, textcoords="offset points", ha=side, va=upper, fontsize=8.5
    )  # fmt: skip
