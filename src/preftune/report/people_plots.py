"""Who judged: how far annotators agree, and how often a pair was judged."""

from typing import TYPE_CHECKING, Any

from preftune.report.axes import upright
from preftune.report.drawing import FIRST, PALE, drawing
from preftune.report.plot import Plot, Table, TableRow, between, share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PEOPLE = 12


def annotators(people: list[dict[str, Any]]) -> Plot:
    """The annotators who agree least with the others, by name."""
    named = _ranked(people)[:_PEOPLE] or people[:_PEOPLE]
    said = f"{len(people):,} annotators judged enough to say something of them."
    if len(people) > len(named):
        said += f" These {len(named)} agree least with the others."
    columns = ("Annotator", "", "agrees", "interval", "judgements", "chose first", "chose longer")
    table = Table(columns, tuple(_person(one) for one in named))
    return Plot("annotators", "Annotators", said, table=table, wide=True)


def ranked_annotators(people: list[dict[str, Any]]) -> Plot | None:
    """All annotators' agreement with its interval, from the least to the most."""
    known = _ranked(people)
    if len(known) < 3:
        return None
    middle = known[len(known) // 2]["agreement"]
    said = (
        f"Half of the annotators agree with the others in at most {share(middle)} of their "
        "judgements. Who stands out has a line, the interval, that misses most others' points."
    )

    def draw(axes: "Axes") -> None:
        places = range(len(known))
        lows, highs = ([max(0, min(1, one[end])) for one in known] for end in ("low", "high"))
        axes.vlines(places, lows, highs, color=PALE, linewidth=min(3, 200 / len(known)))
        axes.plot(places, [one["agreement"] for one in known], "o", color=FIRST, markersize=2.5)
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        axes.set_xlabel("annotators, from the least agreement to the most")
        axes.set_xticks([])

    picture = drawing("ranked", said, draw)
    return Plot("ranked", "Agreement of the annotators", said, picture)


def _ranked(people: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known = [one for one in people if None not in (one["agreement"], one["low"], one["high"])]
    return sorted(known, key=lambda one: one["agreement"])


def _person(one: dict[str, Any]) -> TableRow:
    agreement, low, high = (one[name] for name in ("agreement", "low", "high"))
    habits = (one["first_share"], one["longer_share"])
    sides = ["–" if side is None else share(side) for side in habits]
    if None in (agreement, low, high):
        return TableRow(one["annotator"], None, ("–", "–", f"{one['judgements']:,}", *sides))
    low, high = max(0.0, low), min(1.0, high)
    cells = (share(agreement), between(low, high), f"{one['judgements']:,}", *sides)
    return TableRow(one["annotator"], (low, agreement, high), cells)


def agreement(figure: dict[str, Any]) -> Plot | None:
    """How often pairs were judged."""
    sizes: dict[str, int] = figure["pairs_by_judgements"]
    if len(sizes) < 2:
        return None
    said = (
        f"Two judgements of a pair agree in {share(figure['pairwise'])}; {figure['divided']:,} of "
        f"{figure['pairs']:,} pairs that were judged more than once are divided."
    )

    def draw(axes: "Axes") -> None:
        upright(axes, [*sizes], [*sizes.values()])
        axes.set_xlabel("judgements of a pair")

    return Plot("agreement", "Judgements per pair", said, drawing("agreement", said, draw))
