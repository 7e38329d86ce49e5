"""Real pairs, and faults planted into them: what a check must find again."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from preftune.checks.cases import cases
from preftune.checks.rows.endings import Ending, ending
from preftune.records import Group, Message
from preftune.sources import stream

FILES = {
    "hh": "hh-harmless/train.jsonl.gz",
    "chat": "chat-pairs/dpo_en_demo.json",
    "polite": "polite-pairs/instruction-data-with-preference.json",
    "thumbs": "chat-pairs/kto_en_demo.json",
    "ultrafeedback": "ultrafeedback/scored.jsonl.gz",
    "oasst": "oasst/trees.jsonl.gz",
    "stories": "stories-pairs/pairs.jsonl",
}


@cache
def real_rows(shared: Path, *names: str) -> tuple[Group, ...]:
    """The usable rows of real files, one file after the other."""
    items = (item for name in names for item in stream(str(shared / "data" / FILES[name])).items)
    return tuple(item for item in items if isinstance(item, Group))


def seen(check, rows):
    """The check, once it has seen all rows."""
    for case in cases(rows):
        check.see(case)
    return check


def balanced(rows: Sequence[Group], seed: int = 0) -> list[Group]:
    """The rows with half of the pairs turned round: nothing predicts the label any more."""
    draw = random.Random(seed)
    turned = set(draw.sample(range(len(rows)), len(rows) // 2))
    return [_turned(row) if number in turned else row for number, row in enumerate(rows)]


def _turned(row: Group) -> Group:
    relations = tuple(replace(one, winner=one.loser, loser=one.winner) for one in row.relations)
    return replace(row, relations=relations)


def plant(
    rows: Sequence[Group], fault: str, rate: float, seed: int = 0
) -> tuple[list[Group], list[int]]:
    """The rows with a fault in some of them, and the numbers of those.

    Args:
        rows: Real ones.
        fault: A key of `PLANTERS`, mostly the finding's code.
        rate: Share of all rows that get the fault, at least one row.
        seed: Of the choice of rows, sides and places.
    """
    draw = random.Random(seed)
    order = draw.sample(range(len(rows)), len(rows))
    planted: dict[int, Group] = {}
    for number in order:
        if len(planted) >= max(1, round(rate * len(rows))):
            break
        better = PLANTERS[fault](rows[number], draw)
        if better is not None:
            planted[number] = better
    return [planted.get(number, row) for number, row in enumerate(rows)], sorted(planted)


def in_response(
    change: Callable[[str, Group, random.Random], str | None],
) -> Callable[[Group, random.Random], Group | None]:
    """A change of the text of one of the responses."""

    def planter(row: Group, draw: random.Random) -> Group | None:
        side = draw.randrange(len(row.responses))
        response = row.responses[side]
        last = response.turns[-1]
        text = change(last.content, row, draw)
        if text is None or text == last.content:
            return None
        turns = (*response.turns[:-1], Message(last.role, text))
        responses = list(row.responses)
        responses[side] = replace(response, turns=turns)
        return replace(row, responses=tuple(responses))

    return planter


def repeated(text: str, row: Group, draw: random.Random) -> str | None:
    prompt = row.prompt[-1].content
    if len(prompt.split()) < 4 or len(row.responses[0].turns) > 1:
        return None
    return prompt + draw.choice(["\n", "\n\n", " ", "  \n"]) + text


def mojibake(text: str, row: Group, draw: random.Random) -> str | None:
    """UTF-8 read as Windows-1252 or Latin-1, as programs do it."""
    if text.isascii():
        text = text.replace("'", "’").replace(" - ", " — ").replace("cafe", "café")
    try:
        return text.encode().decode(draw.choice(["cp1252", "latin-1"]))
    except UnicodeDecodeError:
        return text.encode().decode("latin-1")


def lost(text: str, row: Group, draw: random.Random) -> str | None:
    place = draw.randrange(len(text) + 1)
    return text[:place] + "\ufffd" + text[place:]


def invisible(text: str, row: Group, draw: random.Random) -> str | None:
    sign = draw.choice("\x00\x07\x08\x0b\x1b\x7f\x9d\u200b\u200e\u202e\u2060\ufeff\ue123\xad")
    place = draw.randrange(len(text) + 1)
    return text[:place] + sign + text[place:]


def disordered(row: Group, draw: random.Random) -> Group | None:
    if row.form == "text":
        return None
    first, *rest = row.prompt
    faulty = draw.choice(
        [
            (first, Message("user", "And another thing."), *rest),
            (Message("assistant", "Hello!"), first, *rest),
            (*row.prompt, Message("assistant", "Let me think.")),
            (*row.prompt, Message("system", "Be brief."), Message("user", "Well?")),
        ]
    )
    return replace(row, prompt=faulty)


def cut(text: str, row: Group, draw: random.Random) -> str | None:
    """Cut inside a sentence of its second half, between letters or after a word."""
    if ending(text) is not Ending.closed or "```" in text:
        return None
    places = [
        place
        for place in range(len(text) // 2, len(text) - 2)
        if text[place - 1].isalpha()
        and (text[place].isalpha() or text[place] == " ")
        and len(text[text.rfind("\n", 0, place) + 1 : place].split()) >= 6
    ]
    return text[: draw.choice(places)] if places else None


MARKS = ("<|im_end|>", "<|eot_id|>", "</s>", "<|endoftext|>", "<end_of_turn>", "<|end|>")
STARTS = ("<|im_start|>assistant\n", "<s>", "[INST] ", "<|assistant|>\n", "### Response:\n")
BETWEEN = ("\n\nHuman: And then?\n\nAssistant: ", "[/INST]", "<|im_end|>\n<|im_start|>user\nAnd?")


def token(text: str, row: Group, draw: random.Random) -> str | None:
    kind = draw.randrange(3)
    if kind == 0:
        return text + draw.choice(MARKS)
    if kind == 1:
        return draw.choice(STARTS) + text
    place = text.find(". ") + 1
    if place == 0 or "```" in text or "`" in text or "Human:" in row.prompt[-1].content:
        return None
    return text[:place] + draw.choice(BETWEEN) + text[place:]


def marked(text: str, row: Group, draw: random.Random) -> str | None:
    return text + "<|im_end|>"


PLANTERS: dict[str, Callable[[Group, random.Random], Group | None]] = {
    "PC103": in_response(repeated),
    "PC104": in_response(mojibake),
    "PC104 lost": in_response(lost),
    "PC105": in_response(invisible),
    "PC106": disordered,
    "PC107": in_response(cut),
    "PC109": in_response(token),
    "PC110": in_response(marked),
}
