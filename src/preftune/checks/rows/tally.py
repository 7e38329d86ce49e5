"""What is kept of a fault: which rows have it, and the first few of them as examples."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from preftune.checks.cases import Case
from preftune.checks.finding import SHOWN, excerpt
from preftune.checks.rows.letters import made_visible
from preftune.records import Estimate, Example, Severity
from preftune.statistics.proportions import proportion


@dataclass(slots=True)
class Tally:
    """Four bytes for each row with the fault."""

    rows: "array[int]" = field(default_factory=lambda: array("I"))
    examples: list[Example] = field(default_factory=list[Example])

    def add(self, case: Case, where: str, text: str, at: int, note: str = "") -> None:
        """Count a row; the first few show the place. Arguments as `shown`."""
        self.rows.append(case.index)
        if len(self.examples) < SHOWN:
            self.examples.append(shown(case, where, text, at, note))


def share_of(count: int, total: int, prompts: int) -> Estimate:
    """A share of rows or responses, as sure as that many independent prompts can make it."""
    if not total:
        return Estimate(0.0, 0.0, 1.0, 0)
    share = count / total
    prompts = max(1, min(prompts, total))
    interval = proportion(round(share * prompts), prompts)
    return replace(
        interval, value=share, low=min(interval.low, share), high=max(interval.high, share)
    )


def severity_of(share: Estimate, warning: float, error: float = 1.0) -> Severity:
    """By the near end of the interval: surely more than `warning`, surely more than `error`."""
    if share.low > error:
        return Severity.error
    return Severity.warning if share.low > warning else Severity.info


def names_of(case: Case) -> Mapping[int, str]:
    """What each response is to be called: chosen and rejected where there is one pair."""
    if len(case.pairs) == 1 and len(case.responses) == 2:
        return {case.pairs[0].winner: "chosen", case.pairs[0].loser: "rejected"}
    if len(case.responses) == 1:
        return {0: "response"}
    return {number: f"response {number + 1}" for number in range(len(case.responses))}


def shown(case: Case, where: str, text: str, at: int, note: str = "") -> Example:
    """An example that shows a place in a text; invisible characters are spelled out.

    Args:
        case: The row.
        where: `prompt`, or the name of a response.
        text: What stands there.
        at: The place.
        note: What was seen.
    """
    question = case.group.prompt[-1].content if case.group.prompt and where != "prompt" else ""
    texts = {"prompt": excerpt(question)} if question else {}
    texts[where] = excerpt(text, at)
    spelled = {name: made_visible(one) for name, one in texts.items()}
    return Example(case.index, excerpts=spelled, note=note)
