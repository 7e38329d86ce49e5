"""PC501: prompts that are put in the same words around a part that varies."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from preftune.checks.cases import Account, Case, Conclusion
from preftune.checks.finding import finding, percent
from preftune.records import Example, Severity
from preftune.statistics.proportions import proportion

_SAMPLE = 4_000
_FEWEST_WORDS = 3
"""A template shares so many words at its start or its end, at least."""
_MOST_WORDS = 24
_CHARACTERS = 240
_KEPT = 0.8
"""A word belongs to the template if so many of its prompts have it."""
_FEWEST_PROMPTS = 5
_LEAST = 0.01
_TOO_MUCH = 0.3
_SHOWN = 8
_WITHOUT_SPACES = r"\u0e00-\u109f\u1780-\u17ff\u3000-\uffef"
_PIECE = re.compile(rf"[^\W{_WITHOUT_SPACES}]+(?:['’-]\w+)*|[{_WITHOUT_SPACES}]")
"""A word, or a character of a script that is written without spaces."""


@dataclass(frozen=True, slots=True)
class Ends:
    """How a prompt begins and ends."""

    row: int
    first: tuple[str, ...]
    """Lower-case words from the start on."""
    last: tuple[str, ...]
    """The same from the end backwards."""
    words: int
    """Of the whole prompt; many where it is long."""


@dataclass(frozen=True, slots=True)
class Template:
    """The words that some prompts share."""

    opening: tuple[str, ...]
    closing: tuple[str, ...]
    """From the end backwards."""
    prompts: Sequence[Ends]

    def __str__(self) -> str:
        return " ".join([*self.opening, "…", *reversed(self.closing)])

    @property
    def words(self) -> int:
        """How many are shared."""
        return len(self.opening) + len(self.closing)


@dataclass(slots=True)
class Templates:
    """Looks for templates in the last turns of 4,000 distinct prompts, drawn by their key.

    Figures: `templates`, a list of at most 8, the largest first, each with `template` (`…` where
    the prompts differ), `prompts` (how many of the sample) and `share`.
    """

    _drawn: list[tuple[bytes, int, str]] = field(default_factory=list[tuple[bytes, int, str]])
    """Key, row and shortened text."""
    _limit: bytes = b"\xff" * 8
    _seen: int = 0

    def see(self, case: Case) -> None:
        """Keep a prompt that was not seen before, if its key is among the smallest."""
        if case.prompt_number < self._seen:
            return
        self._seen += 1
        if case.prompt_key <= self._limit and case.group.prompt:
            text = case.group.prompt[-1].content
            if len(text) > 2 * _CHARACTERS:
                text = f"{text[:_CHARACTERS]}\n…\n{text[-_CHARACTERS:]}"
            self._drawn.append((case.prompt_key, case.index, text))
            if len(self._drawn) >= 2 * _SAMPLE:
                self._shrink()

    def conclude(self, account: Account) -> Conclusion:
        """Say the largest template in words."""
        self._shrink()
        prompts = [_ends(row, text) for _, row, text in self._drawn]
        found = list(templates(prompts))
        if not found:
            return Conclusion(figures={"templates": []})
        largest, total = found[0], len(prompts)
        interval = proportion(len(largest.prompts), total)
        bad = interval.low > _TOO_MUCH and largest.words > _FEWEST_WORDS
        said = finding(
            "PC501",
            Severity.warning if bad else Severity.info,
            f"the most frequent template is «{largest}»: {percent(interval.value)} of the prompts"
            f"{'' if self._seen == total else f', judged by {total:,} of them'}.",
            len(largest.prompts),
            total,
            unit="prompts",
            estimate=interval,
            examples=(Example(one.row) for one in largest.prompts),
        )
        listed = [
            {
                "template": str(one),
                "prompts": len(one.prompts),
                "share": round(len(one.prompts) / total, 4),
            }
            for one in found
        ]
        return Conclusion([said], {"templates": listed})

    def _shrink(self) -> None:
        self._drawn.sort()
        del self._drawn[_SAMPLE:]
        if len(self._drawn) == _SAMPLE:
            self._limit = self._drawn[-1][0]
        self._drawn.sort(key=lambda one: one[1])


def templates(prompts: Sequence[Ends]) -> Iterator[Template]:
    """Templates of 1 % of the prompts or more, the largest first; each prompt is of one at most."""
    left = list(prompts)
    fewest = max(_FEWEST_PROMPTS, _LEAST * len(prompts))
    for _ in range(_SHOWN):
        found = max(_shared(left, opening=True), _shared(left, opening=False), key=_size)
        if _size(found) < fewest:
            return
        yield found
        gone = {one.row for one in found.prompts}
        left = [one for one in left if one.row not in gone]


def _shared(prompts: Sequence[Ends], *, opening: bool) -> Template:
    """The template of the most frequent opening words, or closing words."""
    starts = Counter(
        _side(one, opening)[:_FEWEST_WORDS] for one in prompts if one.words > _FEWEST_WORDS
    )
    if not starts:
        return Template((), (), ())
    words = starts.most_common(1)[0][0]
    group = [
        one
        for one in prompts
        if one.words > _FEWEST_WORDS and _side(one, opening)[:_FEWEST_WORDS] == words
    ]
    words, group = _grown(words, group, opening=opening, taken=0)
    others, group = _grown((), group, opening=not opening, taken=len(words))
    return Template(*((words, others) if opening else (others, words)), group)


def _grown(
    words: tuple[str, ...], group: list[Ends], *, opening: bool, taken: int
) -> tuple[tuple[str, ...], list[Ends]]:
    """The words with what follows them in nearly all prompts of the group, and these prompts.

    Args:
        words: What all of the group have already.
        group: The prompts.
        opening: Whether the words stand at the start.
        taken: Words at the other end that belong to the template already.
    """
    while len(words) < _MOST_WORDS:
        place = len(words)
        longer = [one for one in group if one.words > place + taken + 1]
        longer = [one for one in longer if len(_side(one, opening)) > place]
        following = Counter(_side(one, opening)[place] for one in longer)
        if not following:
            break
        word, count = following.most_common(1)[0]
        if count < _KEPT * len(group):
            break
        words = (*words, word)
        group = [one for one in longer if _side(one, opening)[place] == word]
    return words, group


def _side(one: Ends, opening: bool) -> tuple[str, ...]:
    return one.first if opening else one.last


def _size(template: Template) -> int:
    return len(template.prompts)


def _ends(row: int, text: str) -> Ends:
    pieces = _PIECE.findall(text.lower())
    return Ends(
        row, tuple(pieces[:_MOST_WORDS]), tuple(reversed(pieces[-_MOST_WORDS:])), len(pieces)
    )
