"""What becomes of each row in a mended copy: left out, changed, or as it was."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from preftune.checks.cases import text_of
from preftune.checks.codes import MEANINGS
from preftune.checks.examine import excerpts_of
from preftune.checks.exclusions import code_of
from preftune.checks.finding import excerpt
from preftune.checks.mending.mended import Change, Fate
from preftune.records import Exclusion, Group, Message

Turns = tuple[Message, ...]
Mend = Callable[[Group], Group]
"""Gives the same group where there is nothing to mend."""
Mends = Sequence[tuple[str, Mend]]
"""Findings' codes, and what mends them."""

_ROUNDS = 8
"""One mend may uncover what another one mends; more rounds than that nothing real needs."""


def fates(
    items: Iterable[Group | Exclusion], drops: Mapping[int, str], mends: Mends
) -> Iterator[Fate]:
    """What becomes of each row, in order.

    Args:
        items: The data.
        drops: Used rows to leave out, and the codes of the findings that say so.
        mends: Applied to the others, again and again until nothing changes.
    """
    number = -1
    for item in items:
        if isinstance(item, Exclusion):
            code = "" if item.expected else code_of(item)
            seen = {"row": item.detail} if item.detail else {}
            yield Fate(-1, None, (_drop(item.source, code, item.reason, seen),))
            continue
        number += 1
        if number in drops:
            code = drops[number]
            yield Fate(number, None, (_dropped(item, code, MEANINGS[code].title.lower()),))
            continue
        group, changes = mended(item, mends)
        fault = _fault(group) if changes else None
        if fault:
            yield Fate(number, None, (_dropped(item, *fault),))
        else:
            yield Fate(number, group, changes)


def mended(group: Group, mends: Mends) -> tuple[Group, tuple[Change, ...]]:
    """The group with all mends, and one change for each mend that found something."""
    seen: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
    for _ in range(_ROUNDS):
        begun = group
        for code, mend in mends:
            better = mend(group)
            if better is not group and better != group:
                befores, afters = seen.setdefault(code, ({}, {}))
                for place, before, after in _differences(group, better):
                    befores.setdefault(place, before)
                    afters[place] = after
                group = better
        if group is begun:
            break
    changes = (
        Change(
            source=group.source,
            code=code,
            action="changed",
            what=MEANINGS[code].title.lower(),
            before=before,
            after=after,
        )
        for code, (before, after) in seen.items()
    )
    return group, tuple(changes)


def each_turn(mend: Callable[[str], str]) -> Mend:
    """A mend of texts as a mend of groups: each turn is mended by itself."""

    def better(turns: Turns) -> Turns:
        texts = [mend(turn.content) for turn in turns]
        if all(text == turn.content for text, turn in zip(texts, turns, strict=True)):
            return turns
        return tuple(map(Message, (turn.role for turn in turns), texts))

    def mend_group(group: Group) -> Group:
        prompt = better(group.prompt)
        answers = [better(response.turns) for response in group.responses]
        same = prompt is group.prompt and all(
            turns is response.turns
            for turns, response in zip(answers, group.responses, strict=True)
        )
        return group if same else with_turns(group, prompt, answers)

    return mend_group


def with_turns(group: Group, prompt: Turns, answers: Iterable[Turns]) -> Group:
    """The group with other texts; everything that was judged stays."""
    responses = tuple(
        replace(response, turns=turns)
        for response, turns in zip(group.responses, answers, strict=True)
    )
    return replace(group, prompt=prompt, responses=responses)


def _dropped(group: Group, code: str, what: str) -> Change:
    return _drop(group.source, code, what, excerpts_of(group))


def _drop(source: str, code: str, what: str, before: Mapping[str, str]) -> Change:
    return Change(source=source, code=code, action="dropped", what=what, before=before)


def _fault(group: Group) -> tuple[str, str] | None:
    """Why a group can't be used once its texts are mended."""
    if not group.prompt[-1].content.strip():
        return "PC100", "empty prompt, once mended"
    turns = [turn for response in group.responses for turn in response.turns]
    if any(turn.role == "assistant" and not turn.content.strip() for turn in turns):
        return "PC101", "empty response, once mended"
    if len({response.turns for response in group.responses}) < len(group.responses):
        return "PC102", "identical responses, once mended"
    return None


def _differences(one: Group, other: Group) -> Iterator[tuple[str, str, str]]:
    """Where two versions of a group differ: the place, and what stands there before and after."""
    names = _places(one)
    texts = [_texts(one), _texts(other)]
    for name, before, after in zip(names, *texts, strict=True):
        if before != after:
            at = _first_difference(before, after)
            yield name, excerpt(before, at), excerpt(after, at)


def _places(group: Group) -> list[str]:
    if len(group.responses) == 1:
        return ["prompt", "response"]
    if group.relations and len(group.responses) == 2 and not group.shown:
        chosen = group.relations[0].winner
        return ["prompt", *(("rejected", "chosen")[side == chosen] for side in range(2))]
    return ["prompt", *(f"response {number}" for number in range(1, len(group.responses) + 1))]


def _texts(group: Group) -> list[str]:
    return [text_of(group.prompt), *(text_of(response.turns) for response in group.responses)]


def _first_difference(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next(
        (at for at, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other))
    )
