"""A sweep as a person reads it: the recommendation first, then the table. Imports no torch."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from preftune.records import Estimate
from preftune.sweeps.choice import FEWEST_PROMPTS, Choice, Figures

if TYPE_CHECKING:
    from preftune.sweeps.result import Outcome, SweepResult

COLUMNS = (
    ("accuracy", "accuracy"),
    ("reward_margin", "reward margin"),
    ("kl", "KL, nats"),
    ("displacement", "displacement"),
)
"""Field of `Figures` → heading."""

MOST_NAMED = 3


def report(result: "SweepResult") -> list[str]:
    """What `preftune sweep` prints."""
    if not result.figures:
        return [f"No recommendation: {_why_none(result.runs)}.", *_plain(result.runs)]
    runs = len(by_setting(result.runs))
    said = recommendation(result.choice, result.figures, runs, halved=result.halved)
    return [*said, "", *table(result.runs, result.figures)]


def _why_none(outcomes: Sequence["Outcome"]) -> str:
    if any(one.state == "finished" for one in outcomes):
        return "no finished run holds out pairs"
    if all(one.state == "failed" for one in outcomes):
        return "all runs failed"
    return "no run was finished"


def _plain(outcomes: Sequence["Outcome"]) -> list[str]:
    """The held-out figures of runs that hold no pairs, as they were logged."""
    lines = [""]
    for one in outcomes:
        kept = {k: v for k, v in one.held_out.items() if isinstance(v, float)}
        shown = "  ".join(f"{name} {value:.4f}" for name, value in kept.items())
        lines.append(f"{one.name}  {shown if one.state == 'finished' else _fate(one)}")
    return lines


def recommendation(
    choice: Choice | None, figures: Mapping[str, Figures], runs: int, *, halved: bool = False
) -> list[str]:
    """Sentences: what to take, what it can't be told from, and what the numbers are worth."""
    if choice is None:
        need = f"{FEWEST_PROMPTS} in common" + (" that halving did not go by" if halved else "")
        return [
            "No recommendation: too few held-out prompts to choose by. All settings together need "
            f"{need}; a few hundred make the intervals narrow."
        ]
    said = [_first(choice)]
    if choice.take is not None and choice.alike:
        said.append(_alike(choice, figures))
    if choice.elsewhere is not None:
        said.append(
            f"Being the best of {len(figures)} is partly luck: chosen on some prompts and measured "
            f"on others, the best reaches {short(choice.elsewhere)}."
        )
    said.append(
        f"Measured on {choice.pairs:,} held-out pairs of {choice.prompts:,} prompts. The intervals "
        f"of all {choice.differences:,} differences, between settings and from the start, hold at "
        "once at 95 % (bootstrap max-t)."
    )
    if halved:
        said.append(
            "Who went on was decided on the other half of the held-out prompts, so that these "
            "figures are not flattered by it."
        )
    left = runs - len(figures)
    if left > 0:
        said.append(f"{left} of {runs} were not compared: stopped early, or failed.")
    return said


def _first(choice: Choice) -> str:
    named = f"{choice.best} (accuracy {short(choice.accuracy)})"
    if not choice.better_than_start:
        return f"None of these is better than the start; the most accurate is {named}."
    if choice.take is None:
        others = _listed(choice.better_than_start)
        return f"Most accurate: {named}, but that may be chance; better than the start: {others}."
    return f"Best: {named}."


def _alike(choice: Choice, figures: Mapping[str, Figures]) -> str:
    named = [
        f"{name} (difference {signed(estimate)})"
        for name, estimate in list(choice.alike.items())[:MOST_NAMED]
    ]
    rest = len(choice.alike) - len(named)
    more = f" and {rest} more" if rest else ""
    told = f"{', '.join(named)}{more} can't be told apart from it"
    take = figures[choice.take] if choice.take else None
    if take is None or take.kl is None:
        return f"{told}; the KL, which could decide, was not measured."
    among = [choice.best, *choice.alike]
    whose = (
        "these"
        if set(among) <= set(choice.better_than_start)
        else ("those that are better than the start")
    )
    return (
        f"{told}; of {whose}, {choice.take} has the smallest KL ({short(take.kl)} nats): take "
        f"{choice.take}."
    )


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def table(outcomes: Sequence["Outcome"], figures: Mapping[str, Figures]) -> list[str]:
    """A line for each run; runs that differ by their seed alone share their figures' line."""
    lines: list[list[str]] = [["run", *(heading for _, heading in COLUMNS)]]
    for name, those in by_setting(outcomes).items():
        if name in figures:
            lines.append([name, *(_cell(figures[name], field) for field, _ in COLUMNS)])
        for one in those:
            if one.state != "finished":
                lines.append([one.name, _fate(one)])
    widths = [max(len(line[at]) for line in lines if len(line) > 2) for at in range(len(lines[0]))]
    widths[0] = max(len(line[0]) for line in lines)
    return [_row(line, widths) for line in lines]


def by_setting(outcomes: Sequence["Outcome"]) -> dict[str, list["Outcome"]]:
    """Runs by their setting's name, in the grid's order."""
    found: dict[str, list[Outcome]] = {}
    for one in outcomes:
        found.setdefault(one.setting, []).append(one)
    return found


def short(estimate: Estimate) -> str:
    """A value with its interval, as few digits as say something.

    >>> short(Estimate(0.7123, 0.66, 0.7649, 100)), short(Estimate(12.34, 10.1, 15.0, 64))
    ('0.71 [0.66, 0.76]', '12.3 [10.1, 15.0]')
    """
    size = max(abs(estimate.low), abs(estimate.high))
    digits = 1 if size >= 10 else 2 if size >= 0.1 else 3
    value, low, high = (
        f"{one:.{digits}f}" for one in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} [{low}, {high}]"


def signed(estimate: Estimate) -> str:
    """A difference with its interval.

    >>> signed(Estimate(0.012, -0.034, 0.058, 100))
    '+0.01 [-0.03, +0.06]'
    """
    rounded = (round(one, 2) + 0.0 for one in (estimate.value, estimate.low, estimate.high))
    value, low, high = (f"{one:+.2f}" for one in rounded)  # never -0.00
    return f"{value} [{low}, {high}]"


def _cell(figures: Figures, field: str) -> str:
    estimate: Estimate | None = getattr(figures, field)
    return "not measured" if estimate is None else short(estimate)


def _fate(one: "Outcome") -> str:
    if one.state == "failed":
        return f"failed: {(one.error or '').partition(';')[0]}"
    seen = one.held_out.get("accuracy")
    told = f", held-out accuracy {seen:.2f} then" if seen is not None else ""
    return f"stopped at step {one.steps:,} of {one.num_steps:,}{told}"


def _row(line: Sequence[str], widths: Sequence[int]) -> str:
    if len(line) == 2:
        return f"{line[0]:<{widths[0]}}  {line[1]}"
    return "  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip()
