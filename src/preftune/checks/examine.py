"""Examine data: every check sees every row once; then they conclude, and examples are shown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from preftune.checks.cases import Account, Case, CaseMaker, Check, Conclusion, pairs_of, text_of
from preftune.checks.exclusions import Exclusions
from preftune.checks.finding import excerpt
from preftune.records import Examination, Example, Exclusion, Group, Watch
from preftune.records.findings import by_severity

Items = Callable[[], Iterable[Group | Exclusion]]
"""Gives the rows from the first one on, each time it is called: a second pass shows examples."""
_ROWS_BETWEEN = 1_000


@dataclass(slots=True)
class Passed:
    """What one pass over the data leaves behind."""

    account: Account
    exclusions: Exclusions
    conclusions: list[Conclusion] = field(default_factory=list[Conclusion])

    @property
    def rows(self) -> int:
        """Used and excluded."""
        return len(self.account.sources) + sum(self.exclusions.counts.values())


def run_checks(items: Items, checks: list[Check], watch: Watch) -> Passed:
    """Show every row to every check, once, and let them conclude.

    Args:
        items: The data.
        checks: Fresh ones. They are taken out as they conclude: what one of them kept is let go,
            and the next one has the room.
        watch: Hears how many rows were seen.
    """
    maker = CaseMaker()
    exclusions = Exclusions()
    watch.begin("rows", None)
    for number, item in enumerate(items()):
        if number % _ROWS_BETWEEN == 0:
            watch.advance(number)
        if isinstance(item, Exclusion):
            exclusions.see(item)
            continue
        _see(maker.case(item), checks)
    watch.end()
    passed = Passed(maker.account, exclusions)
    while checks:
        passed.conclusions.append(checks.pop(0).conclude(maker.account))
    return passed


def _see(case: Case, checks: Sequence[Check]) -> None:
    for check in checks:
        check.see(case)


def gather(
    items: Items,
    passed: Passed,
    *,
    data: str = "",
    layout: str = "",
    fingerprint: str = "",
) -> Examination:
    """The examination: all findings, the most severe first, their examples filled in."""
    account = passed.account
    findings = [*passed.exclusions.findings(passed.rows)]
    figures: dict[str, object] = {}
    drops: dict[int, str] = {}
    for conclusion in passed.conclusions:
        findings += conclusion.findings
        figures |= conclusion.figures
        for row, code in conclusion.drops.items():
            drops.setdefault(row, code)  # the first check that says so gives the reason
    bare = {one.row for item in findings for one in item.examples if _is_bare(one)}
    shown = _rows(items, bare)
    findings = [
        replace(item, examples=tuple(_filled(one, shown, account) for one in item.examples))
        for item in findings
    ]
    return Examination(
        data=data,
        layout=layout,
        fingerprint=fingerprint,
        rows=passed.rows,
        used=len(account.sources),
        excluded=dict(passed.exclusions.counts.most_common()),
        pairs=account.pairs,
        prompts=account.prompts,
        findings=by_severity(findings),
        figures=figures,
        drops=drops,
    )


def with_conclusion(examination: Examination, conclusion: Conclusion) -> Examination:
    """The examination with what was concluded later, its examples complete."""
    return replace(
        examination,
        findings=by_severity([*examination.findings, *conclusion.findings]),
        figures={**examination.figures, **conclusion.figures},
    )


def _is_bare(example: Example) -> bool:
    return example.row >= 0 and not example.excerpts


def _rows(items: Items, wanted: set[int]) -> dict[int, Group]:
    """The rows with these numbers; the pass ends with the last of them."""
    found: dict[int, Group] = {}
    if not wanted:
        return found
    groups = (item for item in items() if isinstance(item, Group))
    for number, group in enumerate(groups):
        if number in wanted:
            found[number] = group
            if len(found) == len(wanted):
                break
    return found


def _filled(example: Example, shown: Mapping[int, Group], account: Account) -> Example:
    if example.row < 0:
        return example
    source = account.sources[example.row]
    if not _is_bare(example):
        return replace(example, source=source)
    return replace(example, source=source, excerpts=excerpts_of(shown[example.row], example.pair))


def excerpts_of(group: Group, pair: int | None = None) -> dict[str, str]:
    """The prompt's last turn and the responses, shortened.

    Args:
        group: The row.
        pair: Which of its pairs to show, as `Case.pairs` counts; none: the first, if there is one.
    """
    found = {"prompt": excerpt(group.prompt[-1].content)} if group.prompt else {}
    texts = [text_of(response.turns) for response in group.responses]
    pairs = pairs_of(group)
    if pairs:
        judged = pairs[pair or 0]
        sides = {"chosen": judged.winner, "rejected": judged.loser}
        return found | {name: excerpt(texts[side]) for name, side in sides.items()}
    if len(texts) == 1:
        return found | {"response": excerpt(texts[0])}
    return found | {f"response {number}": excerpt(text) for number, text in enumerate(texts, 1)}
