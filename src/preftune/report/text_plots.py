"""What the texts are like: how long they are, how they end, how they repeat."""

from typing import TYPE_CHECKING, Any

from preftune.report.axes import lying, outlines, parts_of, upright
from preftune.report.drawing import drawing
from preftune.report.plot import Plot, Table, TableRow, share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FEW = 0.01
_ENDINGS = {
    "closed": "with a full stop or the like",
    "open": "without one",
    "cut": "in the middle of a sentence",
}


def lengths(figure: dict[str, Any]) -> Plot:
    """Histograms of the prompts' and responses' lengths."""
    parts = parts_of(figure)
    medians = [f"{figure['quantiles'][part][2]:,} ({part})" for part in parts]
    said = f"Median {figure['unit']}: {', '.join(medians)}."
    if "chosen" in parts:
        said += " Where the outlines of chosen and rejected lie apart, length tells the label."

    def draw(axes: "Axes") -> None:
        outlines(axes, figure["bins"], {part: figure[part] for part in parts})
        axes.set_xlabel(f"{figure['unit']} (the last step: all that are longer)")

    return Plot("lengths", "Lengths", said, drawing("lengths", said, draw))


def pairs_per_prompt(figure: dict[str, Any]) -> Plot | None:
    """How many prompts have one pair, two, three, …"""
    filled = [
        (name, count)
        for name, count in zip(figure["bins"], figure["prompts"], strict=True)
        if count
    ]
    if len(filled) < 2:
        return None  # all alike: a sentence among the findings says it
    last = figure["bins"].index(filled[-1][0]) + 1
    names, counts = figure["bins"][:last], figure["prompts"][:last]
    top, most = max(filled, key=lambda one: one[1])
    part = share(most / sum(counts))
    said = f"{part} of the prompts have {_pairs(top)}, none more than {_pairs(filled[-1][0])}."

    def draw(axes: "Axes") -> None:
        upright(axes, [name.replace(" or more", "+") for name in names], counts)
        axes.set_xlabel("pairs of a prompt")

    return Plot("pairs", "Pairs per prompt", said, drawing("pairs", said, draw))


def _pairs(name: str) -> str:
    return "1 pair" if name == "1" else f"{name.replace('-', '–')} pairs"


def endings(counts: dict[str, dict[str, int]]) -> Plot | None:
    """How chosen and rejected responses end."""
    sides = ("chosen", "rejected")
    totals = {side: sum(counts[end][side] for end in _ENDINGS) for side in sides}
    if not all(totals.values()):
        return None
    shares = {side: [counts[end][side] / totals[side] for end in _ENDINGS] for side in sides}
    chosen, rejected = (share(shares[side][-1]) for side in sides)
    said = f"{chosen} of the chosen and {rejected} of the rejected responses stop in the middle."

    def draw(axes: "Axes") -> None:
        lying(axes, [*_ENDINGS.values()], shares)

    return Plot("endings", "How responses end", said, drawing("endings", said, draw))


def languages(counts: dict[str, int]) -> Plot | None:
    """How many rows are in each language."""
    total = sum(counts.values())
    known = {name: count for name, count in counts.items() if name != "unknown"}
    top, most = max(known.items(), key=lambda one: one[1], default=("", 0))
    if sum(known.values()) - most < _FEW * total:
        return None  # one language: nothing to compare
    said = f"{share(most / total)} of the rows looked at are in {top}."
    rows = [
        TableRow(name, (None, count / total, None), (f"{count:,}", share(count / total)))
        for name, count in counts.items()
        if count
    ]
    table = Table(("Language", "", "rows", "share"), tuple(rows))
    return Plot("languages", "Languages", said, table=table)


def templates(found: list[dict[str, Any]]) -> Plot:
    """The most frequent ways in which prompts are put."""
    rows = [
        TableRow(
            one["template"],
            (None, one["share"], None),
            (f"{one['prompts']:,}", share(one["share"])),
        )
        for one in found
    ]
    together = sum(one["share"] for one in found)
    said = (
        f"{share(together)} of the prompts are put in one of these ways; … stands for what differs."
        if len(found) > 1
        else f"{share(together)} of the prompts are put in this way; … stands for what differs."
    )
    table = Table(("Template", "", "prompts", "share"), tuple(rows))
    return Plot("templates", "Templates of the prompts", said, table=table, wide=True)
