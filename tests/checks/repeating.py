"""Real pairs, and rows planted among them that repeat, contradict or nearly repeat others."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from preftune.records import Group, Message, Relation, Response

RATES = (0.001, 0.01, 0.05, 0.2)


@dataclass(frozen=True)
class Planted:
    """Rows with planted ones among them."""

    rows: list[Group]
    bad: set[int]
    """Numbers of the rows that should be found."""


def without_repeats(rows: Sequence[Group]) -> list[Group]:
    """The rows whose prompt was not seen before."""
    return list({row.prompt: row for row in rows}.values())


def swapped(row: Group) -> Group:
    """The same judgement with the responses in the other order."""
    relations = tuple(
        replace(one, winner=1 - one.winner, loser=1 - one.loser) for one in row.relations
    )
    return replace(row, responses=row.responses[::-1], relations=relations)


def turned(row: Group) -> Group:
    """The opposite judgement of the same responses."""
    relations = tuple(replace(one, winner=one.loser, loser=one.winner) for one in row.relations)
    return replace(row, relations=relations)


def planted(
    rows: Sequence[Group],
    rate: float,
    more: Callable[[Group, random.Random], Sequence[Group]],
    *,
    first_too: bool,
    seed: int = 0,
) -> Planted:
    """The rows with further ones, made of some of them, at random places behind.

    Args:
        rows: Real ones.
        rate: Share of the rows of which more are made, at least one.
        more: Makes them of a row.
        first_too: Whether the row itself becomes bad by them.
        seed: Of the choice of rows and places.
    """
    draw = random.Random(seed)
    chosen = draw.sample(range(len(rows)), max(1, round(rate * len(rows))))
    placed = [(float(number), row, False) for number, row in enumerate(rows)]
    for number in chosen:
        placed[number] = (number, rows[number], first_too)
        for other in more(rows[number], draw):
            placed.append((draw.uniform(number, len(rows)), other, True))
    placed.sort(key=lambda one: one[0])
    bad = {number for number, (_, _, is_bad) in enumerate(placed) if is_bad}
    return Planted([row for _, row, _ in placed], bad)


def reworded(text: str, changes: int, draw: random.Random) -> str:
    """The text with so many of its words replaced by others of it, or by a number."""
    words = text.split(" ")
    for place in draw.sample(range(len(words)), min(changes, len(words))):
        words[place] = f"{draw.choice(words)}{draw.randrange(100)}"
    return " ".join(words)


def nearly(row: Group, draw: random.Random) -> Group:
    """The row with one to three words changed, in prompt or responses."""
    texts = [row.prompt[-1].content, *(side.turns[-1].content for side in row.responses)]
    lengths = [len(text.split(" ")) for text in texts]
    changes = [0] * len(texts)
    for part in draw.choices(range(len(texts)), lengths, k=draw.randint(1, 3)):
        changes[part] += 1
    asked, *said = (
        reworded(text, count, draw) if count else text
        for text, count in zip(texts, changes, strict=True)
    )
    responses = [
        Response((*side.turns[:-1], Message("assistant", text)))
        for side, text in zip(row.responses, said, strict=True)
    ]
    prompt = (*row.prompt[:-1], Message("user", asked))
    return replace(row, prompt=prompt, responses=tuple(responses))


def words_in(row: Group) -> int:
    """Words of the last turn of the prompt and of the responses."""
    texts = [row.prompt[-1], *(side.turns[-1] for side in row.responses)]
    return sum(len(turn.content.split()) for turn in texts)


def circle(row: Group, draw: random.Random) -> list[Group]:
    """Two more judgements that close a circle with the row's own."""
    best, worst = (
        row.responses[side] for side in (row.relations[0].winner, row.relations[0].loser)
    )
    third = Response((Message("assistant", f"Perhaps {draw.random()}."),))
    return [
        replace(row, responses=pair, relations=(Relation(0, 1),))
        for pair in ((worst, third), (third, best))
    ]
