"""Write groups as rows that `read` reads back to the same groups."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from math import isfinite
from typing import cast

from preftune.records import Group, Message, Rating, Relation
from preftune.sources.layouts import Layout, find_layout
from preftune.sources.rows import Row, RowError
from preftune.sources.streaming import SAMPLE
from preftune.sources.strict_json import StrictDecoder
from preftune.sources.verdicts import SIDES
from preftune.sources.written import Needs, needs_of, unwritable

_BARE = Rating()


def as_row(group: Group, needs: Needs | None = None) -> dict[str, object]:
    """A group as one JSON object.

    | group | columns |
    |---|---|
    | pair | `prompt`, `chosen`, `rejected`; where needed `score_chosen` and `score_rejected`, |
    | | `margin`, `strength`, `tie`, `annotator` |
    | single response | `prompt`, `completion`, and `label` for a thumb |
    | two responses side by side | `prompt`, `response_a`, `response_b`, `verdict` and where |
    | | needed `annotator`; or a column for each of several annotators |
    | rated or ranked responses | `prompt`, `responses`, `scores` or `ranks` or both |

    Beside them stands `weight` where needed. Conversations are written as messages, texts to
    continue as text. Metadata stand there under their own names; what would be read as more than
    metadata is called `original_NAME`. A pair comes back with the chosen response first. `source`
    is not written.

    Args:
        group: What `read` gives, or like it: with several judgements only where they are of two
            responses side by side, by annotators whose names are columns, such as `annotator1`.
        needs: What the groups of the file need columns for, together; by default those of this
            one: right for a file of one row, or of groups that are alike.

    Raises:
        DataError: PT108, no layout holds the group.

    Example:
        >>> from preftune.records import Relation, Response
        >>> sides = [Response((Message("assistant", text),)) for text in ("Blue.", "Loud.")]
        >>> as_row(Group((Message("user", "The sky is "),), tuple(sides), (Relation(0, 1),),
        ...     form="text", metadata={"id": 7}))
        {'prompt': 'The sky is ', 'chosen': 'Blue.', 'rejected': 'Loud.', 'id': 7}
    """
    needs = needs or needs_of([group])
    row = _prompt(group, needs)
    sides = [_answer(response.turns, group, needs) for response in group.responses]
    ratings = [response.rating or _BARE for response in group.responses]
    if needs.kind == "pair":
        row |= _judged(group, sides, needs)
    elif needs.kind == "comparison":
        row |= dict(zip(SIDES, sides, strict=True)) | _verdicts(group.relations, needs)
    elif needs.kind == "response":
        row |= {"completion": sides[0]} | ({"label": ratings[0].good} if needs.labels else {})
    else:
        row["responses"] = sides
        row |= {"scores": [rating.score for rating in ratings]} if needs.scores else {}
        row |= {"ranks": [rating.rank for rating in ratings]} if needs.ranks else {}
    if needs.weight:
        row["weight"] = group.weight
    return row | _metadata(group.metadata, needs)


def written(groups: Iterable[Group], needs: Needs) -> Iterator[tuple[Group, str]]:
    """Each group with its line of JSON, without the newline: read back, the file is the same.

    Each line is read back, in the layout that the first of them are read in, before it is given.

    Args:
        groups: The groups of one file.
        needs: What all of them need columns for, together.

    Raises:
        DataError: PT108, a group reads back as another one.
    """
    pairs = ((group, _line(group, needs)) for group in groups)
    first = list(islice(pairs, SAMPLE))
    if not first:
        return
    layout = find_layout([_row(group, line) for group, line in first], None, "the copy")
    for group, line in chain(first, pairs):
        _check(group, line, layout, needs)
        yield group, line


def _line(group: Group, needs: Needs) -> str:
    return json.dumps(as_row(group, needs), ensure_ascii=False, allow_nan=False, default=str)


def _row(group: Group, line: str) -> Row:
    value, fault = StrictDecoder().decode(line)
    if fault:
        raise unwritable(group, f"read back it is refused: {fault.reason}")
    return Row("", cast("dict[str, object]", value))


def _check(group: Group, line: str, layout: Layout, needs: Needs) -> None:
    try:
        back = layout.convert(_row(group, line))
    except RowError as fault:
        raise unwritable(group, f"read back it is refused: {fault.reason}") from fault
    if needs.kind == "list":
        back = replace(back, shown=group.shown)  # which follows from other rows
    if _bare(back) != _bare(group if group.shown else _winner_first(group)):
        raise unwritable(group, "read back it is another one")


def _bare(group: Group) -> Group:
    """What must be the same. Annotators judged side by side, so in no order."""
    relations = tuple(sorted(group.relations, key=lambda relation: relation.annotator))
    return replace(group, relations=relations, source="", metadata={})


def _winner_first(group: Group) -> Group:
    if not group.relations or group.relations[0].winner == 0:
        return group
    relation = replace(group.relations[0], winner=0, loser=1)
    return replace(group, responses=group.responses[::-1], relations=(relation,))


def _prompt(group: Group, needs: Needs) -> dict[str, object]:
    if not needs.text:
        return {"prompt": _messages(group.prompt)}
    if group.form == "text" and len(group.prompt) == 1:
        system = None
    elif needs.repeated and [turn.role for turn in group.prompt] == ["system", "user"]:
        system = group.prompt[0].content
    else:
        raise unwritable(group, "it is a conversation among texts")
    row: dict[str, object] = {"prompt": group.prompt[-1].content}
    return {"system": system, **row} if needs.chat else row


def _answer(turns: Sequence[Message], group: Group, needs: Needs) -> object:
    if not needs.text:
        # What begins like the prompt would be taken for a repetition of it, and lose it.
        repeats = needs.kind == "list" and tuple(turns[: len(group.prompt)]) == group.prompt
        return _messages((*group.prompt, *turns) if repeats else turns)
    if len(turns) != 1:
        raise unwritable(group, "a response of several turns stands among texts")
    return (group.prompt[-1].content if needs.repeated else "") + turns[0].content


def _messages(turns: Iterable[Message]) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def _judged(group: Group, sides: Sequence[object], needs: Needs) -> dict[str, object]:
    relation = group.relations[0]
    order = {"chosen": relation.winner, "rejected": relation.loser}
    row = {word: sides[side] for word, side in order.items()}
    if needs.scores:
        for word, side in order.items():
            row[f"score_{word}"] = (group.responses[side].rating or _BARE).score
    if needs.margin:
        row["margin"] = relation.margin
    if needs.strength:
        row["strength"] = 0.5 if relation.tie else relation.strength
    if needs.tie:
        row["tie"] = relation.tie
    return row | ({"annotator": relation.annotator} if needs.annotators else {})


def _verdicts(relations: Sequence[Relation], needs: Needs) -> dict[str, object]:
    said = {
        relation.annotator: "tie" if relation.tie else "ab"[relation.winner]
        for relation in relations
    }
    if needs.several:
        return {name: said.get(name) for name in needs.columns}
    ((annotator, verdict),) = said.items()
    row: dict[str, object] = {"verdict": verdict}
    return row | ({"annotator": annotator} if needs.annotators else {})


def _metadata(metadata: Mapping[str, object], needs: Needs) -> dict[str, object]:
    return {_free(name, metadata, needs): _finite(metadata[name]) for name in metadata}


def _free(name: str, metadata: Mapping[str, object], needs: Needs) -> str:
    free = name
    while needs.is_taken(free) or (free != name and free in metadata):
        free = f"original_{free}"
    return free


def _finite(value: object) -> object:
    """The value without NaN and infinities, which JSON lacks: Parquet files have them."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, list):
        return [_finite(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in cast("dict[str, object]", value).items()}
    return value
