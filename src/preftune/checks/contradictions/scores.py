"""What scores say beside labels and ranks: do they agree, and how far are the responses apart?"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

from preftune.checks.cases import Account, Case, Conclusion
from preftune.checks.contradictions.gaps import Spread, finding_of
from preftune.checks.finding import SHOWN, finding, many, percent
from preftune.records import Estimate, Example, Finding, Group, Rating, Relation, Severity

FEW = 0.01
"""Share of pairs or rankings that contradict their scores from which on a person should look."""
_MOST = 50  # responses of a row whose ranks and scores are compared: 1,225 pairs
_BARE = Rating()


@dataclass(slots=True)
class Scores:
    """PC302, PC304 and PC608."""

    _gaps: "array[float]" = field(default_factory=lambda: array("d"))
    """Of each pair with scores, below 0 where the loser is rated higher; of each list without
    pairs between the best and the worst."""
    _prompts: "array[int]" = field(default_factory=lambda: array("i"))
    _lists: int = 0
    _against: "array[int]" = field(default_factory=lambda: array("i"))
    """Rows whose every pair is rated the other way round."""
    _contrary: list[Example] = field(default_factory=list[Example])
    _disordered: "array[float]" = field(default_factory=lambda: array("d"))
    """Of each ranking with scores the share of its pairs that are ordered differently."""
    _ranked_prompts: "array[int]" = field(default_factory=lambda: array("i"))
    _differing: list[Example] = field(default_factory=list[Example])

    def see(self, case: Case) -> None:
        """Keep the gaps of a row."""
        group = case.group
        if group.relations:
            self._see_pairs(case)
            return
        scores = [one.rating.score for one in group.responses if one.rating]
        known = [score for score in scores if score is not None]
        if len(known) < 2:
            return
        self._gaps.append(max(known) - min(known))
        self._prompts.append(case.prompt_number)
        self._lists += 1
        if any(one.rating and one.rating.rank is not None for one in group.responses):
            self._see_ranks(case)

    def _see_pairs(self, case: Case) -> None:
        gaps = [gap_of(case.group, relation) for relation in case.group.relations]
        known = [gap for gap in gaps if gap is not None]
        self._gaps.extend(known)
        self._prompts.extend([case.prompt_number] * len(known))
        if not any(gap < 0 for gap in known):
            return
        if len(known) == len(gaps) == sum(gap < 0 for gap in known):
            self._against.append(case.index)
        if len(self._contrary) < SHOWN:
            pair = next(
                number for number, one in enumerate(case.pairs)
                if (gap_of(case.group, one) or 0) < 0
            )  # fmt: skip
            gap = -(gap_of(case.group, case.pairs[pair]) or 0)
            self._contrary.append(
                Example(case.index, pair=pair, note=f"rejected is rated {gap:g} higher")
            )

    def _see_ranks(self, case: Case) -> None:
        ordered = list(islice(_both(case.group), _MOST))
        comparable = 0
        opposed: list[tuple[int, int]] = []
        for (one, (rank, score)), (other, (place, worth)) in combinations(ordered, 2):
            comparable += rank != place and score != worth
            if (rank < place and score < worth) or (rank > place and score > worth):
                opposed.append((one, other))
        if not comparable:
            return
        self._disordered.append(len(opposed) / comparable)
        self._ranked_prompts.append(case.prompt_number)
        if opposed and len(self._differing) < SHOWN:
            said = dict(ordered)
            told = [f"score {said[one][1]:g} at rank {said[one][0]}" for one in opposed[0]]
            self._differing.append(Example(case.index, note=", ".join(told)))

    def conclude(self, account: Account) -> Conclusion:
        """What contradicts, and how large the gaps are."""
        findings = [*self._of_ranks(), *self._of_labels()]
        if not self._gaps:
            return Conclusion(findings)
        spread = Spread.of(np.frombuffer(self._gaps, np.float64))
        findings.append(finding_of(spread, lists=self._lists == len(self._gaps)))
        drops = {row: "PC304" for row in self._against}
        return Conclusion(findings, {"score_gaps": spread.figure()}, drops)

    def _of_ranks(self) -> Iterator[Finding]:
        shares = np.frombuffer(self._disordered, np.float64)
        count = int((shares > 0).sum())
        if not count:
            return
        turned = _share(shares, self._ranked_prompts)
        touched = _share((shares > 0).astype(np.float64), self._ranked_prompts)
        sentence = (
            f"in {many(count, 'ranking')} ({percent(touched.value)} of those with scores) the "
            f"ranks disagree with the scores; {percent(turned.value)} of two responses are ordered "
            "differently"
        )
        if turned.low > 0.5:
            sentence += ": one of the two columns counts the other way round"
        yield finding(
            "PC302",
            _severity(touched, turned.low > 0.5),
            sentence + ".",
            count,
            len(shares),
            unit="prompts",
            examples=self._differing,
            estimate=touched,
        )

    def _of_labels(self) -> Iterator[Finding]:
        gaps = np.frombuffer(self._gaps, np.float64)
        count = int((gaps < 0).sum())
        if not count:
            return
        share = _share((gaps < 0).astype(np.float64), self._prompts)
        sentence = (
            f"in {many(count, 'pair')} ({percent(share.value)} of those with scores) rejected is "
            "rated higher than chosen"
        )
        if share.low > 0.5:
            sentence += ": the scores count the other way round, or the labels do"
        yield finding(
            "PC304",
            _severity(share, share.low > 0.5),
            sentence + ".",
            count,
            len(gaps),
            unit="pairs",
            examples=self._contrary,
            estimate=share,
        )


def gap_of(group: Group, relation: Relation) -> float | None:
    """How much higher the winner is rated; of a tie how far apart the two are.

    >>> from preftune.records import Response
    >>> rated = tuple(Response((), Rating(score=score)) for score in (2.0, 5.0))
    >>> gap_of(Group((), rated), Relation(0, 1)), gap_of(Group((), rated), Relation(1, 0, margin=1))
    (-3.0, 1)
    """
    gap = relation.margin
    if gap is None:
        won, lost = (
            (group.responses[side].rating or _BARE).score
            for side in (relation.winner, relation.loser)
        )
        gap = None if won is None or lost is None else won - lost
    return abs(gap) if gap is not None and relation.tie else gap


def _both(group: Group) -> Iterator[tuple[int, tuple[int, float]]]:
    """Rank and score of each response that has both, by its index."""
    for index, response in enumerate(group.responses):
        rating = response.rating or _BARE
        if rating.rank is not None and rating.score is not None:
            yield index, (rating.rank, rating.score)


def _share(values: NDArray[np.float64], prompts: Sequence[int]) -> Estimate:
    from preftune.statistics.proportions import clustered_proportion

    return clustered_proportion(values, prompts)


def _severity(share: Estimate, turned: bool) -> Severity:
    if turned:
        return Severity.error
    return Severity.warning if share.low > FEW else Severity.info
