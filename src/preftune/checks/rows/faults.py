"""PC103 to PC106, PC109 and PC111: what is broken in single rows."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from preftune.checks.cases import Account, Case, Conclusion
from preftune.checks.finding import finding, many, percent, verb
from preftune.checks.mending.mends import cut_repeat, decode, is_hopeless, repeat_of
from preftune.checks.rows.letters import decoded, invisible_at, is_lost, made_visible, mojibake_at
from preftune.checks.rows.marks import speaker_at, token_at
from preftune.checks.rows.tally import Tally, names_of, severity_of, share_of
from preftune.checks.rows.turns import disorder
from preftune.records import Finding

_SENTENCES = {
    "PC103": "{rows} ({share}) {have} a response that begins with its prompt.",
    "PC104": "{rows} ({share}) {hold} text that was decoded with the wrong character set, or lost.",
    "PC105": "{rows} ({share}) {hold} control or invisible characters.",
    "PC106": "{rows} ({share}) {have} roles out of order.",
    "PC109": "{rows} ({share}) {hold} tokens of a chat template inside their text.",
}
"""Faults of a row, in the order of their codes."""
_SOME, _MOST = 0.01, 0.5
"""Shares of the prompts beyond which a fault is a warning, and an error."""
_LETTERS_A_TOKEN = 4
"""A cautious guess: most languages and code have fewer."""
_SHORT, _LONG = 2_048, 8_192
"""Limits, in tokens, that many runs have."""
_MANY_LONG = 0.1


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one row, and the place that shows it."""

    code: str
    where: str
    """`prompt`, or the response's name."""
    text: str
    at: int
    note: str = ""
    hopeless: bool = False
    """No mend takes it out: a mended copy leaves the row out."""


@dataclass(slots=True)
class RowFaults:
    """Looks at each row for itself."""

    tallies: dict[str, Tally] = field(
        default_factory=lambda: {code: Tally() for code in _SENTENCES}
    )
    drops: dict[int, str] = field(default_factory=dict[int, str])
    _long: Tally = field(default_factory=Tally)
    _longer: int = 0

    def see(self, case: Case) -> None:
        """Look at one row."""
        for fault in _first_of_each(case):
            place = (fault.where, fault.text, fault.at, fault.note)
            self.tallies[fault.code].add(case, *place)
            if fault.hopeless:
                self.drops.setdefault(case.index, fault.code)
        if len(case.prompt) > _SHORT * _LETTERS_A_TOKEN:
            self._longer += len(case.prompt) > _LONG * _LETTERS_A_TOKEN
            self._long.add(case, "prompt", case.prompt, 0, f"{len(case.prompt):,} letters")

    def conclude(self, account: Account) -> Conclusion:
        """A finding for each fault that was seen."""
        found = [self._finding(code, account) for code, tally in self.tallies.items() if tally.rows]
        if self._long.rows:
            found.append(self._long_prompts(account))
        return Conclusion(found, drops=self.drops)

    def _finding(self, code: str, account: Account) -> Finding:
        tally, total = self.tallies[code], len(account.sources)
        count = len(tally.rows)
        share = share_of(count, total, account.prompts)
        sentence = _SENTENCES[code].format(
            rows=many(count, "row"),
            share=percent(count / total),
            **{plural: verb(count, plural) for plural in ("hold", "have")},
        )
        level = severity_of(share, _SOME, _MOST)
        return finding(code, level, sentence, count, total, examples=tally.examples, estimate=share)

    def _long_prompts(self, account: Account) -> Finding:
        total, count = len(account.sources), len(self._long.rows)
        share = share_of(count, total, account.prompts)
        longer = f", {self._longer:,} of them than {_LONG:,}" if self._longer else ""
        sentence = (
            f"{many(count, 'row')} ({percent(count / total)}) {verb(count, 'have')} prompts of "
            "more than about "
            f"{_SHORT:,} tokens{longer}."
        )
        level = severity_of(share, _MANY_LONG)
        return finding(
            "PC111", level, sentence, count, total, examples=self._long.examples, estimate=share
        )


def _first_of_each(case: Case) -> Iterator[Fault]:
    """The first fault of each kind; a hopeless one goes before the others."""
    found: dict[str, Fault] = {}
    for fault in faults_of(case):
        if fault.code not in found or (fault.hopeless and not found[fault.code].hopeless):
            found[fault.code] = fault
    yield from found.values()


def faults_of(case: Case) -> Iterator[Fault]:
    """What is broken in a row, place by place."""
    yield from _in_text(case, "prompt", case.prompt, marks=case.group.form == "chat")
    disordered = disorder(case.group)
    if disordered:
        yield Fault("PC106", "prompt", case.prompt, 0, disordered, hopeless=True)
    prompt, form = case.group.prompt, case.group.form
    for number, text in enumerate(case.responses):
        name = names_of(case)[number]
        first = case.group.responses[number].turns[0].content
        if repeat_of(first, prompt, form) >= 0:
            empty = not cut_repeat(first, prompt, form).strip()
            yield Fault("PC103", name, text, 0, hopeless=empty)
        for fault in _in_text(case, name, text, marks=True):
            yield replace(fault, hopeless=_has_hopeless_turn(case, number, fault.code))


def _in_text(case: Case, where: str, text: str, *, marks: bool) -> Iterator[Fault]:
    at = mojibake_at(text)
    if at >= 0:
        yield Fault("PC104", where, text, at, "" if is_lost(text) else _reading(text, at))
    hidden = invisible_at(text)
    if hidden >= 0 and (at < 0 or invisible_at(decode(text)) >= 0):  # mojibake holds some, too
        at = hidden
        yield Fault("PC105", where, text, at, made_visible(text[at]))
    if not marks:
        return
    at = token_at(text)
    if at < 0 and where != "prompt":
        at = speaker_at(text, case.prompt)
    if at >= 0:
        yield Fault("PC109", where, text, at)


def _has_hopeless_turn(case: Case, number: int, code: str) -> bool:
    turns = case.group.responses[number].turns
    return any(is_hopeless(code, turn.content, case.prompt) for turn in turns)


def _reading(text: str, at: int) -> str:
    """What the first broken characters stand for."""
    broken = text[max(0, at - 20) : at + 20]
    return f"to be read as `{decoded(broken)}`"
