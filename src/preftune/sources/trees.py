"""Conversation trees as OpenAssistant's: each place with several ranked replies is a ranking."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from preftune.records import Exclusion
from preftune.sources.rows import Item, Row, RowError, kind_of, quote
from preftune.sources.turns import ROLES

REPLIES = "replies"
UNRANKED = "fewer than two ranked replies"
DELETED = "deleted messages left out, with all below them"


@dataclass(frozen=True, slots=True)
class _Node:
    """A message of a tree."""

    path: tuple[int, ...]
    """Which reply to take at each level, from 1; empty at the root."""
    before: tuple[dict[str, str], ...]
    """The messages on the way to it."""
    message: dict[str, object]

    def below(self) -> list["_Node"]:
        """Its replies.

        Raises:
            RowError: the message is none.
        """
        role, text, replies = (self.message.get(key) for key in ("role", "text", REPLIES))
        known = ROLES.get(role.lower()) if isinstance(role, str) else None
        if known is None:
            raise RowError("unknown role", f"it is {quote(role)}")
        if not isinstance(text, str):
            raise RowError("message is not text", f"it is {kind_of(text)}")
        if replies is not None and not isinstance(replies, list):
            raise RowError("replies are not a list", f"they are {kind_of(replies)}")
        so_far = (*self.before, {"role": known, "content": text})
        inside = cast("list[object]", replies or [])
        return [_Node((*self.path, number), so_far, _message(reply))
                for number, reply in enumerate(inside, 1)]  # fmt: skip

    @property
    def answers(self) -> bool:
        return self.message.get("role") == "assistant"

    @property
    def deleted(self) -> bool:
        return self.message.get("deleted") is True


def has_trees(column: str, sample: Sequence[Row]) -> bool:
    """Whether most sampled values of the column are messages with replies."""
    values = [row.columns.get(column) for row in sample]
    trees = sum(isinstance(value, dict) and REPLIES in value for value in values)
    return 2 * trees >= len(values) > 0


def unfold(row: Row, column: str, counts: Counter[str]) -> Iterator[Item]:
    """The places of a tree where an assistant replied: rows with a prompt and its replies.

    A place is named after its row and the way to it: `trees.jsonl:7#2.1` is the first reply to
    the second reply to the root of the tree in line 7. Places where nothing is compared are
    expected exclusions: trees have many by nature.

    Args:
        row: Row with a tree.
        column: Where it stands.
        counts: Of what is left out on the way.
    """
    root = row.columns.get(column)
    if not isinstance(root, dict):
        yield Exclusion(row.place, "no tree", f"column {quote(column)} is {kind_of(root)}")
        return
    beside = {key: value for key, value in row.columns.items() if key != column}
    found = False
    waiting = [_Node((), (), cast("dict[str, object]", root))]
    while waiting:
        node = waiting.pop()
        place = f"{row.place}#{'.'.join(map(str, node.path))}" if node.path else row.place
        if node.deleted:
            counts[DELETED] += 1
            continue
        try:
            below = node.below()
        except RowError as fault:
            yield Exclusion(place, fault.reason, fault.detail)
            found = True
            continue
        waiting += reversed(below)
        replies = [reply for reply in below if reply.answers and not reply.deleted]
        if not node.answers and replies:
            yield _place(place, column, beside, replies)
            found = True
    if not found:
        yield Exclusion(row.place, UNRANKED, "no reply", broken=False, expected=True)


def _place(place: str, column: str, beside: dict[str, object], replies: Sequence[_Node]) -> Item:
    ranked = sum(reply.message.get("rank") is not None for reply in replies)
    if ranked < 2:
        detail = f"{ranked} of {len(replies)}"
        return Exclusion(place, UNRANKED, detail, broken=False, expected=True)
    prompt: list[dict[str, str]] = list(replies[0].before)
    messages = [reply.message for reply in replies]
    return Row(place, {**beside, column: prompt, REPLIES: messages})


def _message(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {"role": kind_of(value)}
