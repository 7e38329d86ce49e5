"""An examination as a page for the terminal: the verdict on top, what to act on, the rest below."""

import textwrap
import unicodedata
from collections.abc import Iterator

from rich.text import Text

from preftune.checks.codes import MEANINGS
from preftune.checks.finding import many
from preftune.records import Examination, Example, Finding, Severity

_STYLES = {Severity.error: "bold red", Severity.warning: "bold yellow", Severity.info: "dim"}
_INDENT = 9
"""Columns of the severity's name, under which what it is about is aligned."""


def page(examination: Examination, width: int) -> Iterator[Text]:
    """Lines to print, none wider than `width` where a word fits."""
    level = examination.worst
    good = level is Severity.info and examination.used
    verdict = Text(examination.verdict, style="bold green" if good else _STYLES[level])
    yield Text(f"{visible(examination.data)}: ") + verdict
    yield Text("")
    for line in _account(examination):
        yield from _wrapped(line, 2, width)
    acted = [one for one in examination.findings if one.severity > Severity.info]
    told = [one for one in examination.findings if one.severity is Severity.info]
    for one in acted:
        yield Text("")
        yield from _finding(one, width)
    if told:
        yield Text("")
    for one in told:
        yield from _headed(one.severity, f"{one.code}  {visible(one.sentence)}", width)


def visible(text: str) -> str:
    r"""Text for a terminal: what would move its cursor or turn its letters round is written out.

    >>> visible("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(char) for char in " ".join(text.split()))


def _shown(char: str) -> str:
    harmless = char.isprintable() or unicodedata.category(char) == "Zs"
    return char if harmless else char.encode("unicode_escape").decode()


def _account(examination: Examination) -> Iterator[str]:
    left = sum(examination.excluded.values())
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in examination.excluded.items())
    rows = f"{many(examination.rows, 'row')}: {examination.used:,} used, {left:,} excluded"
    yield rows + (f" ({reasons})" if reasons else "")
    yield f"{many(examination.pairs, 'pair')} over {many(examination.prompts, 'distinct prompt')}"
    yield visible(examination.layout)


def _finding(one: Finding, width: int) -> Iterator[Text]:
    yield from _headed(one.severity, f"{one.code}  {MEANINGS[one.code].title}", width)
    yield from _wrapped(visible(one.sentence), _INDENT, width)
    yield from _labelled("why", one.why, width)
    yield from _labelled("fix", one.fix, width)
    for example in one.examples:
        yield from _example(example, width)


def _headed(severity: Severity, title: str, width: int) -> Iterator[Text]:
    head = f"{severity.name:<{_INDENT}}"
    for number, line in enumerate(_lines(title, max(20, width - _INDENT))):
        start = Text(head if number == 0 else " " * _INDENT, style=_STYLES[severity])
        yield start + Text(line, style="bold" if severity > Severity.info else "")


def _labelled(label: str, text: str, width: int) -> Iterator[Text]:
    for line in _lines(
        visible(text),
        max(20, width),
        first=f"{'':{_INDENT}}{label}  ",
        rest=" " * (_INDENT + len(label) + 2),
    ):
        start = Text(line)
        start.stylize("dim", 0, _INDENT + len(label))
        yield start


def _example(example: Example, width: int) -> Iterator[Text]:
    note = f"  {visible(example.note)}" if example.note else ""
    yield from _wrapped(f"{visible(example.source)}{note}", _INDENT + 2, width, style="cyan")
    names = max((len(name) for name in example.excerpts), default=0)
    for name, text in example.excerpts.items():
        start = f"{'':{_INDENT + 4}}{name:<{names}}  "
        lines = _lines(visible(text), max(20, width - len(start))) or [""]
        yield Text(start, style="dim") + Text(lines[0])
        yield from (Text(" " * len(start) + line) for line in lines[1:])


def _lines(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )


def _wrapped(text: str, indent: int, width: int, style: str = "") -> Iterator[Text]:
    for line in _lines(text, max(20, width - indent)) or [""]:
        yield Text(" " * indent + line, style=style)
