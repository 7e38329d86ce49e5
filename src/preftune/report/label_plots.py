"""What the labels follow, and how far they can be relied on."""

from typing import TYPE_CHECKING, Any

from preftune.report.axes import upright
from preftune.report.drawing import BAR, FIRST, MUTED, PALE, drawing
from preftune.report.plot import Plot, Table, TableRow, between, share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RULES = 15
_PEOPLE = 12


def shortcuts(rules: list[dict[str, Any]]) -> Plot:
    """Bars of what each trivial rule gets right, best first."""
    best = rules[0]
    rows = [
        TableRow(
            rule["rule"],
            (from_chance(rule["low"]), from_chance(rule["accuracy"]), from_chance(rule["high"])),
            (
                share(rule["accuracy"]),
                between(rule["low"], rule["high"]),
                share(rule["decides"]),
                share(rule["explained"]),
            ),
        )
        for rule in rules[:_RULES]
    ]
    said = (
        f"The best of {len(rules)} rules, “{best['rule']}”, explains {share(best['explained'])} of "
        "the labels; 50 % is chance. Bars begin at chance: short ones are a good sign, grey ones "
        "can't be told from chance."
    )
    columns = ("Rule: this response wins", "", "right", "95 % interval", "decides", "explains")
    return Plot("shortcuts", "Shortcuts", said, table=Table(columns, tuple(rows)), wide=True)


def from_chance(value: float) -> float:
    """0 at chance, 1 where it is always right."""
    return max(0.0, 2 * value - 1)


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


def score_gaps(figure: dict[str, Any]) -> Plot:
    """How much better the scores of chosen are."""
    edges, counts, small = figure["edges"], figure["counts"], figure["small"]
    said = (
        f"{share(figure['share_zero'])} of the scores are equal, {share(figure['share_small'])} "
        f"less than {small:.2g} apart (between the dotted lines): those labels are doubtful."
    )
    if edges[0] < 0:
        said += " Left of 0 rejected has the higher score."

    def draw(axes: "Axes") -> None:
        total = sum(counts)
        axes.stairs([count / total for count in counts], edges, fill=True, color=BAR)
        for place in (-small, small) if edges[0] < 0 else (small,):
            axes.axvline(place, color=MUTED, linestyle=":", linewidth=1.4)
        axes.set_xlabel("score of the better one less the other's")
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")

    return Plot("gaps", "Gaps of the scores", said, drawing("gaps", said, draw))
