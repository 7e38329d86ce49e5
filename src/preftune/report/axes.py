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


def parts_of(figure: Mapping[str, object]) -> list[str]:
    """The parts of rows that a figure has; beside chosen ones, responses of ties are left out."""
    compared = "chosen" in figure
    return [part for part in COLOURS if part in figure and not (compared and part == "response")]


def outlines(
    axes: "Axes",
    edges: Sequence[float],
    parts: Mapping[str, Sequence[int]],
    dashed: str = "prompt",
) -> None:
    """Histograms as lines with a pale filling, each in shares of its own total.

    Args:
        axes: Where to draw.
        edges: Of the bins.
        parts: Counts by what they are of; a `prompt` is drawn dashed, as it stands beside the rest.
        dashed: What `prompt` is called.
    """
    highest = 0.0
    for part, counts in parts.items():
        total = sum(counts) or 1
        heights = [100 * count / total for count in counts]
        colour = COLOURS[part]
        if part == "prompt":  # beside the others: it may run out of the picture
            axes.stairs(heights, edges, color=colour, linewidth=1.4, linestyle="--", label=dashed)
            continue
        axes.stairs(heights, edges, color=colour, fill=True, alpha=0.13)
        axes.stairs(heights, edges, color=colour, linewidth=1.6, label=part)
        highest = max(highest, *heights)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.2 * highest or None)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    if len(parts) > 1:
        axes.legend()


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
