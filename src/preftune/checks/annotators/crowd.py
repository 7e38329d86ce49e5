"""Each annotator against the others on the same pairs: agreement, place and length."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preftune.checks.annotators.votes import TIE, Booleans, Integers, Votes
from preftune.records import Estimate

Floats = NDArray[np.float64]

LEAST_JUDGEMENTS = 20
"""Judgements of an annotator below which nothing is said of them."""
HALF = 0.5
"""An annotator disagrees who agrees with the others less than half as far beyond chance as they
agree among themselves."""
FAR = 0.15
"""An annotator follows place or length who chooses by it at least so much more often than the
others do on the same pairs: 15 of 100 of their judgements went another way because of it."""
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Means:
    """A mean for each annotator with its interval, as columns of shape (annotator,).

    The intervals hold for all annotators who are looked at together: Bonferroni's correction. NaN
    where there are fewer than `LEAST_JUDGEMENTS` behind one, and for nobody, the first.
    """

    values: Floats
    low: Floats
    high: Floats
    numbers: Integers
    """Judgements behind each."""
    confidence: float
    """Of each interval."""
    own: Floats
    """Share of an annotator's judgements that the mean compares with the others'."""

    def estimate(self, one: int) -> Estimate:
        """That of one annotator."""
        ends = float(self.low[one]), float(self.high[one])
        return Estimate(float(self.values[one]), *ends, int(self.numbers[one]), self.confidence)

    @property
    def looked(self) -> Booleans:
        """The annotators with enough judgements."""
        return ~np.isnan(self.low)


def agreement_of_each(votes: Votes, counts: Integers) -> Means:
    """How far each annotator agrees with the others of the same pairs: a share of judgements."""
    from preftune.statistics.agreement import with_others

    mine, _ = with_others(votes.units, votes.labels, counts)
    return _means(mine, mine, votes)


def like_the_others(votes: Votes, counts: Integers) -> Means:
    """Agreement with the others, above `HALF` of theirs among themselves, both beyond chance.

    Below 0 for who knows less than half of what the others know. On pairs with only one other
    judgement their agreement among themselves is that of all such pairs.
    """
    from preftune.statistics.agreement import with_others

    mine, theirs = with_others(votes.units, votes.labels, counts)
    alone = np.isnan(theirs) & ~np.isnan(mine)
    theirs = np.where(alone, mine[alone].mean() if alone.any() else np.nan, theirs)
    shared = counts[counts.sum(1) > 1]
    shares = shared.sum(0) / max(int(shared.sum()), 1)
    chance = float(shares @ shares)
    return _means(mine - chance - HALF * (theirs - chance), mine, votes)


def chosen_beyond(votes: Votes, counts: Integers, side: Integers) -> Means:
    """How much more often than the others each annotator chooses one side of a pair.

    Ties do not count. The others are those who judged the same pair, or everybody else where
    nobody did.

    Args:
        votes: The judgements.
        counts: Their labels by unit.
        side: Label of the side, -1 where there is none, shape (judgement,).
    """
    counted = (votes.labels != TIE) & (side >= 0)
    chosen = np.where(counted, votes.labels == side, np.nan)
    row = np.maximum(side, 0)
    others = counts[votes.units, :TIE].sum(1) - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (counts[votes.units, row] - chosen) / others
    share = np.where(others > 0, share, _elsewhere(votes, chosen))
    return _means(chosen - share, chosen, votes)


def _elsewhere(votes: Votes, chosen: Floats) -> Floats:
    """For each judgement how often everybody but its annotator chose the side."""
    known = ~np.isnan(chosen)
    size = len(votes.names)
    own = np.bincount(votes.annotators[known], chosen[known], size)
    number = np.bincount(votes.annotators[known], minlength=size)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (own.sum() - own) / (number.sum() - number)
    return share[votes.annotators]


def _means(values: Floats, own: Floats, votes: Votes) -> Means:
    """Student's intervals; the annotator's own share beside them.

    What never varies is still not certain: the variance is at least that of one judgement that
    differs from all others.
    """
    from scipy.special import stdtrit

    known = ~np.isnan(values)
    who, size = votes.annotators[known], len(votes.names)
    numbers = np.bincount(who, minlength=size)
    looked = numbers >= LEAST_JUDGEMENTS
    looked[0] = False
    number = np.where(looked, numbers, np.nan)
    mean = np.bincount(who, values[known], size) / number
    squares = np.bincount(who, (values[known] - mean[who]) ** 2, size) / (number - 1)
    variance = np.maximum(squares, (1 - 1 / number) / number)
    confidence = 1 - (1 - CONFIDENCE) / max(int(looked.sum()), 1)
    reach = stdtrit(number - 1, 0.5 + confidence / 2) * np.sqrt(variance / number)
    share = np.bincount(who, own[known], size) / number
    return Means(mean, mean - reach, mean + reach, numbers, confidence, share)
