"""PC112 and PC113: the languages of a sample of rows."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from preftune.checks.cases import Account, Case, Conclusion
from preftune.checks.finding import SHOWN, excerpt, finding, many, percent, verb
from preftune.checks.rows.language import CLIPPED, NAMES, language_of
from preftune.checks.rows.tally import names_of, severity_of, share_of
from preftune.records import Example, Finding, Severity

SAMPLE = 5_000
"""Rows that are looked at, at most."""
_SCATTER = 2_654_435_761
"""Knuth's multiplicative hash: which rows are sampled has nothing to do with what they hold."""
_MIXED = 0.02
"""A language of fewer rows is not worth a word."""
_OTHER_LANGUAGE = 0.05
_ABOUT_LANGUAGE = re.compile(
    r"\b(?:translat|languag|traduc|traduz|tradui|übersetz|перевед|"
    rf"(?:{'|'.join(NAMES.values())}|Mandarin|Farsi)\b)|翻译|翻譯|翻訳|번역",
    re.IGNORECASE,
)
"""Who asks like that may want an answer in another language."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is kept of a sampled row: the beginnings of its texts."""

    hash: int
    index: int
    prompt_number: int
    prompt: str
    responses: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(slots=True)
class Languages:
    """Keeps the rows with the smallest hashes, and asks for their languages at the end."""

    sample: int = SAMPLE
    _rows: list[Row] = field(default_factory=list[Row])
    _limit: int = 2**32

    def see(self, case: Case) -> None:
        """Keep the row if it is of the sample so far."""
        scattered = case.index * _SCATTER % 2**32
        if scattered >= self._limit:
            return
        prompt = case.group.prompt[-1].content if case.group.prompt else ""
        names = names_of(case)
        self._rows.append(
            Row(
                scattered,
                case.index,
                case.prompt_number,
                prompt[: 2 * CLIPPED],
                tuple(text[:CLIPPED] for text in case.responses),
                tuple(names[number] for number in range(len(case.responses))),
            )
        )
        if len(self._rows) >= 1.5 * self.sample:
            self._shrink()

    def _shrink(self) -> None:
        self._rows.sort(key=lambda row: row.hash)
        del self._rows[self.sample :]
        if len(self._rows) == self.sample:
            self._limit = self._rows[-1].hash

    def conclude(self, account: Account) -> Conclusion:
        """Findings on the mix, and on rows that change the language."""
        self._shrink()
        rows = sorted(self._rows, key=lambda row: row.index)
        known = [(row, language_of(row.prompt), _of_each(row)) for row in rows]
        mix: Counter[str] = Counter()
        changed: list[tuple[Row, str, str, int]] = []
        for row, asked, answered in known:
            mix[asked or next((one for one in answered if one), "")] += 1
            other = _other(row, asked, answered)
            if other >= 0:
                changed.append((row, asked, answered[other], other))
        unknown = mix.pop("", 0)
        sampled = len(rows) if len(rows) < len(account.sources) else 0
        found = [self._mix(mix, sampled), self._changed(changed, rows, sampled)]
        shares = {NAMES[code]: count for code, count in mix.most_common()} | {"unknown": unknown}
        return Conclusion([one for one in found if one], {"languages": shares})

    def _mix(self, mix: Counter[str], sampled: int) -> Finding | None:
        total = sum(mix.values())
        told = [(code, n) for code, n in mix.most_common() if n >= max(3, _MIXED * total)]
        if len(told) < 2:
            return None
        shares = ", ".join(f"{percent(n / total)} {NAMES[code]}" for code, n in told)
        rest = total - sum(n for _, n in told)
        others = f", {percent(rest / total)} others" if rest else ""
        return finding(
            "PC112",
            Severity.info,
            f"the rows are in several languages: {shares}{others}{_of(sampled)}.",
            total - told[0][1],
            total,
        )

    def _changed(
        self, changed: Sequence[tuple[Row, str, str, int]], rows: Sequence[Row], sampled: int
    ) -> Finding | None:
        if not changed:
            return None
        count, total = len(changed), len(rows)
        share = share_of(count, total, len({row.prompt_number for row in rows}))
        return finding(
            "PC113",
            severity_of(share, _OTHER_LANGUAGE),
            f"{many(count, 'row')} ({percent(count / total)}) {verb(count, 'answer')} in "
            "another language than "
            f"{'it is' if count == 1 else 'they are'} asked in{_of(sampled)}.",
            count,
            total,
            examples=[_example(*one) for one in changed[:SHOWN]],
            estimate=share,
        )


def _of(sampled: int) -> str:
    return f" (of a sample of {sampled:,} rows)" if sampled else ""


def _of_each(row: Row) -> list[str]:
    return [language_of(text) for text in row.responses]


def _other(row: Row, asked: str, answered: Sequence[str]) -> int:
    """Which response is in another language than its prompt, that nobody asked for; -1 if none."""
    if not asked or _ABOUT_LANGUAGE.search(row.prompt):
        return -1
    return next((side for side, one in enumerate(answered) if one and one != asked), -1)


def _example(row: Row, asked: str, answered: str, side: int) -> Example:
    texts = {"prompt": excerpt(row.prompt), row.names[side]: excerpt(row.responses[side])}
    return Example(row.index, excerpts=texts, note=f"{NAMES[asked]}, then {NAMES[answered]}")
