"""Groups for tests, from short Python values."""

import gzip
import json
import re
from pathlib import Path

from preftune.records import Group, Intake, Message, Relation, Response

Turns = list[tuple[str, str]]


def turns(*pairs: tuple[str, str]) -> tuple[Message, ...]:
    return tuple(Message(role, content) for role, content in pairs)


def pair(
    prompt: str | Turns, chosen: str, rejected: str, *, source: str = "pairs.jsonl:1"
) -> Group:
    """Chosen and rejected answers; a prompt given as a string is one user turn."""
    asked = [("user", prompt)] if isinstance(prompt, str) else prompt
    return Group(
        prompt=turns(*asked),
        responses=tuple(Response(turns(("assistant", side))) for side in (chosen, rejected)),
        relations=(Relation(0, 1),),
        source=source,
    )


def text_pair(prompt: str, chosen: str, rejected: str, *, source: str = "text.jsonl:1") -> Group:
    group = pair(prompt, chosen, rejected, source=source)
    return Group(group.prompt, group.responses, group.relations, source, form="text")


def branch(prompt: Turns, response: Turns, *, source: str = "chat.jsonl:1") -> Group:
    """One response of several turns, as for SFT."""
    return Group(turns(*prompt), (Response(turns(*response)),), source=source)


def intake(groups: list[Group]) -> Intake:
    return Intake(len(groups), len(groups))


def transcripts(path: Path, limit: int) -> list[tuple[dict[str, str], Group]]:
    """HH-RLHF rows and their groups: the last answer differs, what is before is the prompt."""
    rows: list[tuple[dict[str, str], Group]] = []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            row = json.loads(line)
            chosen, rejected = (_turns(row[side]) for side in ("chosen", "rejected"))
            common = 0
            while (
                common < min(len(chosen), len(rejected)) - 1 and chosen[common] == rejected[common]
            ):
                common += 1
            sides = (Response(chosen[common:]), Response(rejected[common:]))
            group = Group(chosen[:common], sides, (Relation(0, 1),), f"{path.name}:{number}")
            rows.append((row, group))
            if number == limit:
                break
    return rows


def _turns(text: str) -> tuple[Message, ...]:
    parts = re.split(r"\n\n(Human|Assistant): ", text)
    roles = {"Human": "user", "Assistant": "assistant"}
    return tuple(
        Message(roles[name], content)
        for name, content in zip(parts[1::2], parts[2::2], strict=True)
    )
