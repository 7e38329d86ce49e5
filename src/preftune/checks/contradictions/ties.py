"""PC303: judgements that prefer neither."""

from collections import Counter
from dataclasses import dataclass, field

from preftune.checks.cases import Account, Case, Conclusion
from preftune.checks.finding import SHOWN, finding, many, percent
from preftune.records import Example, Group, Rating, Severity
from preftune.statistics.proportions import proportion


@dataclass(slots=True)
class Ties:
    """Counts marked ties, and equal ranks or scores where nothing else was judged."""

    _ties: int = 0
    _judgements: int = 0
    _first: list[int] = field(default_factory=list[int])

    def see(self, case: Case) -> None:
        """Count the row's ties."""
        ties = ties_of(case.group)
        self._judgements += len(case.pairs) + ties
        if ties:
            self._ties += ties
            if len(self._first) < SHOWN:
                self._first.append(case.index)

    def conclude(self, account: Account) -> Conclusion:
        """Say how many judgements are ties: a warning where they are the larger part."""
        if not self._ties:
            return Conclusion()
        share = self._ties / self._judgements
        units = min(account.prompts, self._judgements)  # a prompt's judgements depend on each other
        interval = proportion(round(share * units), units)
        found = finding(
            "PC303",
            Severity.warning if interval.low > 0.5 else Severity.info,
            f"{many(self._ties, 'judgement')} ({percent(share)}) "
            f"{'is a tie' if self._ties == 1 else 'are ties'}.",
            self._ties,
            self._judgements,
            unit="judgements",
            examples=(Example(row) for row in self._first),
        )
        return Conclusion([found])


def ties_of(group: Group) -> int:
    """How many of a group's judgements prefer neither response."""
    if group.relations:
        return sum(relation.tie for relation in group.relations)
    known = [response.rating or Rating() for response in group.responses]
    places: list[float | None] = [rating.rank for rating in known]
    if all(place is None for place in places):
        places = [rating.score for rating in known]
    counts = Counter(place for place in places if place is not None)
    return sum(count * (count - 1) // 2 for count in counts.values())
