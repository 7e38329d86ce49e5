"""What the labels follow, and how far they can be relied on."""

from typing import TYPE_CHECKING, Any

from preftune.report.drawing import BAR, FIRST, MUTED, PALE, drawing
from preftune.report.plot import Plot, Table, TableRow, between, share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RULES = 15
_LABELS = 10


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
        f"Best of {len(rules)} rules: {best['rule']}, which explains {share(best['explained'])} of "
        "the labels; 50 % is chance. Bars begin at chance: short ones are a good sign, grey ones "
        "can't be told from chance."
    )
    columns = ("Rule: this response wins", "", "right", "95 % interval", "decides", "explains")
    return Plot("shortcuts", "Shortcuts", said, table=Table(columns, tuple(rows)), wide=True)


def from_chance(value: float) -> float:
    """0 at chance, 1 where it is always right."""
    return max(0.0, 2 * value - 1)


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


def noise(figure: dict[str, Any]) -> Plot:
    """Agreement of the labels with the words, from where these are unsure on."""
    curve, told = figure["curve"], figure["told"]
    said = (
        f"The surer the words are, the more labels agree with them, up to a level below 100 %: "
        f"{share(figure['estimate'])} of the labels are wrong "
        f"({between(figure['low'], figure['high'])}, the band)."
        if told
        else "The surer the words are, the more labels agree with them; but not so clearly that "
        "the share of wrong labels could be told."
    )

    def draw(axes: "Axes") -> None:
        if told:
            axes.axhspan(1 - figure["high"], 1 - figure["low"], color=PALE, linewidth=0, alpha=0.6)
            axes.axhline(1 - figure["estimate"], color=MUTED, linestyle="--", linewidth=1.2)
        across = [point["sureness"] for point in curve]
        axes.plot(across, [point["agreement"] for point in curve], "o-", color=FIRST, markersize=4)
        axes.set_ylim(min(0.45, *(point["agreement"] for point in curve)), 1.01)
        axes.set_xlabel("how sure the words are (log-odds)")
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")

    return Plot("noise", "Labels against words", said, drawing("noise", said, draw))


def suspicious(labels: list[dict[str, Any]]) -> Plot:
    """The labels that are most probably wrong."""
    rows = [
        TableRow(
            one["source"],
            (None, one["probability"], None),
            (share(one["probability"]),),
        )
        for one in labels[:_LABELS]
    ]
    said = "By the words of all the others these labels are the wrong way round: read them first."
    table = Table(("Label of", "", "wrong with probability"), tuple(rows))
    return Plot("suspicious", "Suspicious labels", said, table=table, wide=True)
