"""PC700 to PC703 and PC709: what becomes of the rows as tokens of one model."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from preftune.checks.cases import Case, Conclusion
from preftune.checks.finding import SHOWN, finding, many, percent, verb
from preftune.checks.reference.economics import PAIRS_PER_BATCH, Economics
from preftune.errors import DataError
from preftune.records import Example, Finding, Form, Severity, TokenGroup
from preftune.rendering import Renderer
from preftune.rendering.truncation import Fitted
from preftune.sources.reading import MOST_WITHOUT_SIGNAL
from preftune.statistics.proportions import proportion

MANY_OVER = 0.05
"""Share of rows over the limit from which what is left is other data than what was meant."""
MOST_OVER = 0.5
_BARS = 40
_FATES = {
    "drop": "are left out",
    "prompt-left": "lose the beginning of their prompt",
    "response": "lose the ends of their responses",
}
_SIDES = ("prompt", "chosen", "rejected", "response")
Lengths = Counter[int]
"""How often each length occurs: as many entries as there are different lengths, whatever the
number of rows."""


@dataclass(slots=True)
class _Cases:
    """How many rows there are of a kind, and the first few."""

    count: int = 0
    first: list[Example] = field(default_factory=list[Example])

    def add(self, row: int, note: str) -> None:
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(Example(row, note=note))


class Tokens:
    """Counts rows as the renderer writes them."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._rows = 0
        self._lengths: dict[str, Lengths] = {side: Counter() for side in _SIDES}
        self._forms: dict[Form, _Cases] = {}
        self._over = _Cases()
        self._left_out = 0
        """Of those over the limit: the prompt, or the response, is too long by itself."""
        self._refused = _Cases()
        self._silent: dict[str, _Cases] = {}
        self._drops: dict[int, str] = {}
        self.economics = Economics()

    def refuse(self, case: Case, error: DataError) -> None:
        """Count a row that can't be written."""
        self._rows += 1
        self._refused.add(case.index, error.problem)
        self._drops[case.index] = "PC709"

    def see(self, case: Case, whole: TokenGroup, fitted: Fitted) -> None:
        """Count a row.

        Args:
            case: The row.
            whole: Its tokens in full.
            fitted: What of it is trained on.
        """
        self._rows += 1
        self._forms.setdefault(case.group.form, _Cases()).add(case.index, "")
        pairs = [(relation.winner, relation.loser) for relation in case.pairs]
        prompt, responses = _sizes(whole)
        self._measure(prompt, responses, pairs)
        longest = max(responses, default=0)
        if prompt + longest > self._renderer.max_tokens:
            note = f"prompt {prompt:,} tokens, longest response {longest:,}"
            self._over.add(case.index, note)
            self._left_out += fitted.group is None and " over " in f" {fitted.reason}"
        if fitted.group is not None:
            self.economics.see(*_sizes(fitted.group), pairs)
        elif fitted.reason.startswith(("identical", "nothing")):
            self._silent.setdefault(fitted.reason, _Cases()).add(case.index, fitted.reason)
            if not fitted.reason.endswith("truncation"):  # another limit may save those
                self._drops[case.index] = "PC702"

    def conclude(self) -> Conclusion:
        """What was counted."""
        if not self._rows:
            return Conclusion()
        economics = self.economics.figure()
        found = [self._counts(), *self._limits(), *self._without_signal()]
        found += [*self._endings(), *self._refusals()]
        return Conclusion(found, {"tokens": self._figure(), "economics": economics}, self._drops)

    def _measure(
        self, prompt: int, responses: Sequence[int], pairs: Sequence[tuple[int, int]]
    ) -> None:
        self._lengths["prompt"][prompt] += 1
        for winner, loser in pairs:
            self._lengths["chosen"][responses[winner]] += 1
            self._lengths["rejected"][responses[loser]] += 1
        if not pairs:
            self._lengths["response"].update(responses)

    def _counts(self) -> Finding:
        said = [
            f"{side} {middle:,} (95 %: {high:,}, longest {most:,})"
            for side, lengths in self._lengths.items()
            if lengths
            for middle, high, most in [quantiles(lengths, (0.5, 0.95, 1.0))]
        ]
        sentence = f"tokens at the median: {', '.join(said)}"
        if self.economics.packed:
            sentence += (
                f"; packed rows that share their prompt save {percent(self.economics.saved)} of "
                f"the tokens of padded batches of {PAIRS_PER_BATCH}"
            )
        return finding("PC700", Severity.info, sentence + ".", self._rows, self._rows)

    def _limits(self) -> Iterator[Finding]:
        count, limit = self._over.count, self._renderer.max_tokens
        if not count:
            return
        share = proportion(count, self._rows)
        severity = Severity.warning if share.low > MANY_OVER else Severity.info
        if self._left_out and (
            self._left_out == self._rows or proportion(self._left_out, self._rows).low > MOST_OVER
        ):
            severity = Severity.error
        fate = _FATES["drop" if self._left_out == count else self._renderer.truncation]
        mixed = self._left_out not in (0, count)
        who = f"{self._left_out:,} of them are left out, the others" if mixed else "they"
        yield finding(
            "PC701",
            severity,
            f"{many(count, 'row')} ({percent(share.value)}) {verb(count, 'are')} over {limit:,} "
            f"tokens, prompt and longest response together: {who} {fate}.",
            count,
            self._rows,
            examples=self._over.first,
        )

    def _without_signal(self) -> Iterator[Finding]:
        count = sum(cases.count for cases in self._silent.values())
        if not count:
            return
        reasons = ", ".join(f"{cases.count:,} {why}" for why, cases in self._silent.items())
        yield finding(
            "PC702",
            Severity.error if count > MOST_WITHOUT_SIGNAL * self._rows else Severity.warning,
            f"{many(count, 'row')} ({percent(count / self._rows)}) can't be trained on once "
            f"rendered: {reasons}.",
            count,
            self._rows,
            examples=[one for cases in self._silent.values() for one in cases.first],
        )

    def _endings(self) -> Iterator[Finding]:
        encoder = self._renderer.encoder
        for form, cases in self._forms.items():
            if self._renderer.closed(form) or (form == "text" and encoder.eos is not None):
                continue
            if encoder.eos is None:
                severity, said = Severity.warning, "No token marks where an answer ends"
            else:
                severity = Severity.info
                said = f"Only {encoder.text(encoder.eos)}, added by us, marks where an answer ends"
            manner = self._renderer.announcement({form})
            yield finding(
                "PC703",
                severity,
                f"{said}. {manner}",
                cases.count,
                self._rows,
                examples=cases.first[:1] if encoder.eos is None else (),
            )

    def _refusals(self) -> Iterator[Finding]:
        count = self._refused.count
        if count:
            yield finding(
                "PC709",
                Severity.error,
                f"{many(count, 'row')} ({percent(count / self._rows)}) can't be written in the "
                f"model's form: {self._refused.first[0].note}",
                count,
                self._rows,
                examples=self._refused.first,
            )

    def _figure(self) -> dict[str, object]:
        """Bars of equal width; the last holds everything beyond 99 % of the longest side, too."""
        known = {side: lengths for side, lengths in self._lengths.items() if lengths}
        top = max(quantiles(lengths, (0.99,))[0] for lengths in known.values())
        edges = np.linspace(0, max(_BARS, top), _BARS + 1)
        bars = {side: _bars(lengths, edges) for side, lengths in known.items()}
        return {"edges": edges.round(1).tolist(), "limit": self._renderer.max_tokens, **bars}


def quantiles(lengths: Mapping[int, int], shares: Sequence[float]) -> list[int]:
    """The smallest length that so large a share of the lengths does not exceed.

    >>> quantiles({3: 1, 5: 2, 100: 1}, (0.25, 0.5, 1.0))
    [3, 5, 100]
    """
    known = sorted(lengths)
    below = np.cumsum([lengths[length] for length in known])
    places = np.searchsorted(below, [share * below[-1] for share in shares]).tolist()
    return [known[min(place, len(known) - 1)] for place in places]


def _sizes(group: TokenGroup) -> tuple[int, list[int]]:
    return len(group.prompt_ids), [len(response.ids) for response in group.responses]


def _bars(lengths: Lengths, edges: np.ndarray) -> list[int]:
    counts = np.zeros(_BARS, np.int64)
    places = np.searchsorted(edges, list(lengths), side="right") - 1
    np.add.at(counts, np.minimum(places, _BARS - 1), list(lengths.values()))
    return counts.tolist()
