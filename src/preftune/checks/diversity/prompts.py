"""PC500 and PC502: how many prompts there are, and how the pairs are spread over them."""

from array import array
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from preftune.checks.cases import Account, Case, Conclusion
from preftune.checks.finding import finding, many, percent
from preftune.checks.repeats.near import NearRepeats
from preftune.checks.repeats.shingles import Places
from preftune.records import Example, Finding, Severity

_MOST_PAIRS_EACH = 20
_FEWEST_PROMPTS, _ENOUGH_PAIRS = 30, 100
_TOP = 0.01
_TOO_MUCH = 0.25
"""What the top 1 % of the prompts may have of the pairs."""
_EDGES = (1, 2, 3, 4, 5, 10, 20, 50, 100, 1000)


@dataclass(slots=True)
class Diversity:
    """Counts the pairs of each prompt: 8 bytes a prompt. Rows count where nothing is compared.

    Figures: `prompts` with the numbers of `rows`, `pairs`, `distinct` prompts, `clusters` of them
    and their `effective` number; `pairs_per_prompt` with `bins` (labels such as `5-9`) and how many
    `prompts` are in each.
    """

    near: NearRepeats | None = None
    """Knows which prompts are near repeats; without it each distinct one stands for itself."""
    _pairs: "array[int]" = field(default_factory=lambda: array("I"))
    """Of each distinct prompt."""
    _rows: "array[int]" = field(default_factory=lambda: array("I"))
    """Where each was seen first."""

    def see(self, case: Case) -> None:
        """Count the row's pairs to its prompt."""
        if case.prompt_number == len(self._pairs):
            self._pairs.append(0)
            self._rows.append(case.index)
        self._pairs[case.prompt_number] += max(1, len(case.pairs))

    def conclude(self, account: Account) -> Conclusion:
        """Say how many different prompts there are in effect, and which have most pairs."""
        pairs = np.frombuffer(self._pairs, np.uint32).astype(np.int64)
        if not len(pairs):
            return Conclusion()
        clusters = self.near.prompt_clusters() if self.near else np.arange(len(pairs))
        together = np.bincount(clusters, pairs).astype(np.float64)
        effective = effective_number(together)
        noun = "pair" if account.pairs else "row"
        figures: dict[str, object] = {
            "prompts": {
                "rows": len(account.sources),
                "pairs": account.pairs,
                "distinct": len(pairs),
                "clusters": int((together > 0).sum()),
                "effective": round(effective, 1),
            },
            "pairs_per_prompt": _histogram(pairs),
        }
        findings = [_few(pairs, effective, noun, account), *self._top(pairs, noun)]
        return Conclusion(findings, figures)

    def _top(self, pairs: Places, noun: str) -> list[Finding]:
        """PC502, unless every prompt has as many pairs as the others."""
        if pairs.max() == pairs.min():
            return []
        order = np.argsort(-pairs, kind="stable")
        top = order[: max(1, round(_TOP * len(pairs)))]
        total, theirs = int(pairs.sum()), int(pairs[top].sum())
        bad = len(pairs) >= 1 / _TOP and theirs > _TOO_MUCH * total
        found = finding(
            "PC502",
            Severity.warning if bad else Severity.info,
            f"the {percent(len(top) / len(pairs))} of the prompts with most {noun}s have "
            f"{percent(theirs / total)} of them; the first has {many(int(pairs[top[0]]), noun)}, "
            f"half of the prompts have at most {many(int(np.median(pairs)), noun)}.",
            theirs,
            total,
            unit=f"{noun}s",
            examples=(Example(self._rows[int(at)], note=many(int(pairs[at]), noun)) for at in top),
        )
        return [found]


def effective_number(weights: NDArray[np.float64]) -> float:
    """How many equally frequent things are as diverse: exp of the entropy, -Σ p log p.

    Args:
        weights: Shape (thing,), >= 0, not all 0.

    References:
        Jost 2006, "Entropy and diversity", Oikos 113, 363.

    Example:
        >>> round(effective_number(np.array([5.0, 5.0, 0.0])), 6)
        2.0
    """
    shares = weights[weights > 0] / weights.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _few(pairs: Places, effective: float, noun: str, account: Account) -> Finding:
    """PC500."""
    total = int(pairs.sum())
    few = total > _MOST_PAIRS_EACH * effective
    few |= effective < _FEWEST_PROMPTS and total >= _ENOUGH_PAIRS
    return finding(
        "PC500",
        Severity.warning if few else Severity.info,
        f"{many(len(pairs), 'distinct prompt')} for {many(total, noun)}; as diverse as "
        f"{many(round(effective), 'prompt')} with equally many {noun}s.",
        len(pairs),
        len(account.sources),
        unit="prompts",
    )


def _histogram(pairs: Places) -> dict[str, object]:
    ends = [*_EDGES[1:], None]
    labels = [
        str(start) if end == start + 1 else f"{start}-{end - 1}" if end else f"{start} or more"
        for start, end in zip(_EDGES, ends, strict=True)
    ]
    counts = np.bincount(np.searchsorted(_EDGES, pairs, "right") - 1, minlength=len(_EDGES))
    return {"bins": labels, "prompts": counts.tolist()}
