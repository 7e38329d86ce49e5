"""Who judged: how far annotators agree, and who follows something besides the text."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from preftune.checks.annotators.agreement import agreement_of, figure_of, findings_of
from preftune.checks.annotators.crowd import (
    FAR,
    Floats,
    Means,
    agreement_of_each,
    chosen_beyond,
    like_the_others,
)
from preftune.checks.annotators.votes import TIE, Integers, VoteBox, Votes
from preftune.checks.cases import Account, Case, Conclusion
from preftune.checks.finding import excerpt, finding, many, percent
from preftune.records import Example, Finding, Severity

MATTERS = 0.01
"""Share of all judgements from which on annotators are worth a warning."""
_MOST = 500  # annotators in the figure
_NAME = 24  # characters of a name
_NAMED = 3  # annotators in a sentence


@dataclass(slots=True)
class Annotators:
    """PC603 to PC607."""

    _box: VoteBox = field(default_factory=VoteBox)

    def see(self, case: Case) -> None:
        """Keep what is judged in a row."""
        self._box.see(case)

    def conclude(self, account: Account) -> Conclusion:
        """Agreement, and the annotators who stand out."""
        if not (self._box.named or self._box.several):
            return Conclusion()
        return concluded(self._box.votes())


def concluded(votes: Votes) -> Conclusion:
    """What there is to say of the judgements."""
    from preftune.statistics.agreement import label_counts

    counts = label_counts(votes.units, votes.labels, 3)
    first = chosen_beyond(votes, counts, votes.firsts)
    longer = chosen_beyond(votes, counts, votes.longers)
    findings = [
        *_disagreement(votes, counts),
        *_habit("PC605", votes, first, ("first", "second")),
        *_habit("PC606", votes, longer, ("longer", "shorter")),
    ]
    people = _table(votes, counts, first, longer)
    figures: dict[str, object] = {"annotators": people} if people else {}
    agreed = agreement_of(votes, counts)
    if agreed:
        findings += findings_of(agreed, votes, counts)
        figures["agreement"] = figure_of(agreed)
    return Conclusion(findings, figures)


def _disagreement(votes: Votes, counts: Integers) -> Iterator[Finding]:
    if len({*votes.annotators.tolist()} - {0}) < 3:  # of two neither is the odd one
        return
    beyond, agreed = like_the_others(votes, counts), agreement_of_each(votes, counts)
    who = np.flatnonzero(beyond.high < 0)
    if not len(who):
        return
    who = who[np.argsort(beyond.high[who])]
    said = [f"{_name(votes, one)} {percent(float(agreed.values[one]))}" for one in who[:_NAMED]]
    others = agreed.values[beyond.looked]
    yield _stand_out(
        "PC604",
        votes,
        beyond,
        who,
        said=f"agree with the others less than half as far beyond chance as those among "
        f"themselves: {_listed(said, len(who))} (half of all agree in "
        f"{percent(float(np.median(others)))} or more)",
        examples=_opposed(votes, counts, who),
    )


def _habit(code: str, votes: Votes, beyond: Means, sides: tuple[str, str]) -> Iterator[Finding]:
    """Who chooses one side of a pair, or the other, by far more often than the others do."""
    for side, distance in zip(sides, (beyond.low, -beyond.high), strict=True):
        own_share = beyond.own if side == sides[0] else 1 - beyond.own
        # Who is even-handed stands out only because the others are not.
        who = np.flatnonzero((distance > FAR) & (own_share > 0.5 + FAR))
        if not len(who):
            continue
        who = who[np.argsort(-distance[who])]
        said: list[str] = []
        for one in who[:_NAMED]:
            own = float(beyond.own[one])
            others = own - float(beyond.values[one])
            own, others = (own, others) if side == sides[0] else (1 - own, 1 - others)
            said.append(f"{_name(votes, one)} in {percent(own)} (others {percent(others)})")
        yield _stand_out(
            code,
            votes,
            beyond,
            who,
            said=f"choose the {side} response far more often than the others do: "
            f"{_listed(said, len(who))}",
            examples=_judged(votes, who),
        )


def _stand_out(
    code: str,
    votes: Votes,
    means: Means,
    who: Integers,
    *,
    said: str,
    examples: Iterable[Example],
) -> Finding:
    share = float(np.isin(votes.annotators, who).mean())
    looked = int(means.looked.sum())
    return finding(
        code,
        Severity.warning if share >= MATTERS else Severity.info,
        f"{len(who):,} of {many(looked, 'annotator')} ({percent(share)} of the judgements) {said}; "
        "intervals hold for all of them together (Bonferroni).",
        len(who),
        looked,
        unit="annotators",
        examples=examples,
        estimate=means.estimate(int(who[0])),
    )


def _opposed(votes: Votes, counts: Integers, who: Integers) -> Iterator[Example]:
    """Of each annotator a judgement that all the others, two or more, contradict in one voice."""
    decided = votes.labels < TIE
    others = counts[votes.units].sum(1) - 1
    against = counts[votes.units, np.where(decided, 1 - votes.labels, TIE)]
    found = decided & (others >= 2) & (against == others)
    for one in who:
        for judged in np.flatnonzero(found & (votes.annotators == one))[:1]:
            note = f"{_name(votes, one)} against {many(int(others[judged]), 'other')}"
            yield Example(int(votes.rows[judged]), note=note)


def _judged(votes: Votes, who: Integers) -> Iterator[Example]:
    for one in who:
        judged = np.flatnonzero((votes.annotators == one) & (votes.labels != TIE))[0]
        yield Example(int(votes.rows[judged]), note=f"judged by {_name(votes, one)}")


def _name(votes: Votes, one: int) -> str:
    return excerpt(votes.names[one], width=_NAME)


def _listed(said: list[str], number: int) -> str:
    more = number - len(said)
    return ", ".join(said) + (f" and {more:,} more" if more > 0 else "")


def _table(votes: Votes, counts: Integers, first: Means, longer: Means) -> list[dict[str, object]]:
    """One entry for each annotator with enough judgements, those with the most first."""
    agreed = agreement_of_each(votes, counts)
    judged = np.bincount(votes.annotators, minlength=len(votes.names))
    looked = np.flatnonzero(agreed.looked | first.looked | longer.looked)
    return [
        {
            "annotator": _name(votes, one),
            "judgements": int(judged[one]),
            "agreement": _number(agreed.values, one),
            "low": _number(agreed.low, one),
            "high": _number(agreed.high, one),
            "first_share": _number(first.own, one),
            "longer_share": _number(longer.own, one),
        }
        for one in looked[np.argsort(-judged[looked], kind="stable")][:_MOST]
    ]


def _number(values: Floats, one: int) -> float | None:
    return None if np.isnan(values[one]) else round(float(values[one]), 4)
