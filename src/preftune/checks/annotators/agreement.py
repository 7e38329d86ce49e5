"""How far people agree where several judged the same two responses."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from preftune.checks.annotators.votes import TIE, Integers, Votes
from preftune.checks.finding import SHOWN, finding, many, percent
from preftune.records import Estimate, Example, Finding, Severity

LOW_ALPHA = 0.4
"""Below it a single label is wrong in more than about one of five pairs: annotators who are right
with probability p agree on two equally frequent labels with p² + (1 - p)², so α = (2p - 1)², and
α = 0.4 is p = 0.82. (Krippendorff's own limit for conclusions, 0.667, is p = 0.91; published
preference data mostly lies between the two.)"""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What is known of the pairs that were judged more than once."""

    pairs: int
    divided: int
    """Pairs whose judgements differ."""
    pairwise: float
    """Share of two judgements of the same pair that are equal."""
    alpha: Estimate | None
    """Krippendorff's, ties being a label; none where only one label was ever given."""
    decided: float | None
    """Alpha without ties."""
    ties: bool
    sizes: Mapping[int, int]
    """Number of pairs by how often they were judged."""


def agreement_of(votes: Votes, counts: Integers) -> Agreement | None:
    """None where no pair was judged more than once."""
    from preftune.statistics.agreement import krippendorff_alpha, pairwise_agreement

    given = counts.sum(1)
    shared = counts[given > 1]
    if not len(shared):
        return None
    decided = krippendorff_alpha(shared[:, :TIE])
    return Agreement(
        pairs=len(shared),
        divided=int((shared.max(1) < shared.sum(1)).sum()),
        pairwise=pairwise_agreement(shared),
        alpha=_alpha(votes, counts),
        decided=None if np.isnan(decided) else decided,
        ties=bool(shared[:, TIE].any()),
        sizes={size: int(pairs) for size, pairs in enumerate(np.bincount(given)) if pairs},
    )


def _alpha(votes: Votes, counts: Integers) -> Estimate | None:
    """Its interval is over prompts, or over pairs where they have one prompt only."""
    from preftune.statistics.agreement import alpha_interval

    shared = counts.sum(1) > 1
    if shared.sum() < 2 or np.count_nonzero(counts[shared].sum(0)) < 2:
        return None
    prompts = np.zeros(len(counts), np.int64)
    prompts[votes.units] = votes.prompts
    several = len(np.unique(prompts[shared])) > 1
    return alpha_interval(counts, prompts if several else None, resamples=2_000)


def figure_of(agreed: Agreement) -> dict[str, object]:
    """For a plot, as JSON."""
    alpha = agreed.alpha
    return {
        "alpha": alpha and alpha.value,
        "low": alpha and alpha.low,
        "high": alpha and alpha.high,
        "alpha_without_ties": agreed.decided,
        "pairwise": agreed.pairwise,
        "pairs": agreed.pairs,
        "divided": agreed.divided,
        "pairs_by_judgements": {str(size): pairs for size, pairs in agreed.sizes.items()},
    }


def findings_of(agreed: Agreement, votes: Votes, counts: Integers) -> tuple[Finding, Finding]:
    """PC603 and PC607."""
    pairs = many(agreed.pairs, "pair")
    alpha = ""
    if agreed.alpha:
        ends = f"{agreed.alpha.low:.2f} to {agreed.alpha.high:.2f}"
        alpha = f"; Krippendorff's alpha is {agreed.alpha.value:.2f} ({ends})"
        if agreed.ties and agreed.decided is not None:
            alpha += f", without ties {agreed.decided:.2f}"
    low = agreed.alpha is not None and agreed.alpha.high < LOW_ALPHA
    first = finding(
        "PC603",
        Severity.warning if low else Severity.info,
        f"two judgements of the same pair agree in {percent(agreed.pairwise)} ({pairs} judged more "
        f"than once){alpha}.",
        agreed.divided,
        agreed.pairs,
        unit="pairs",
        examples=_most_divided(votes, counts),
        estimate=agreed.alpha,
    )
    several = sum(size * number for size, number in agreed.sizes.items() if size > 1)
    second = finding(
        "PC607",
        Severity.info,
        f"{pairs} judged several times, {several / agreed.pairs:.1f} times on average; in "
        f"{percent(agreed.divided / agreed.pairs)} of them the judgements differ.",
        agreed.pairs,
        len(counts),
        unit="pairs",
        examples=_most_divided(votes, counts),
    )
    return first, second


def _most_divided(votes: Votes, counts: Integers) -> Iterator[Example]:
    """Where both responses have many votes, the most first."""
    fewer = counts[:, :TIE].min(1)
    _, first = np.unique(votes.units, return_index=True)  # judgements stand in file order
    for unit in np.lexsort((first, -fewer))[:SHOWN]:
        table = counts[unit]
        if not fewer[unit]:
            return
        ties = f", {many(int(table[TIE]), 'tie')}" if table[TIE] else ""
        row = int(votes.rows[first[unit]])
        yield Example(row, note=f"judged {table[:TIE].max()} to {table[:TIE].min()}{ties}")
