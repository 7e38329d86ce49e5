"""From a row to a group: pairs and single responses, with their prompt as turns."""

from collections.abc import Callable, Mapping, Sequence

from preftune.records import Form, Group, Message, Relation, Response
from preftune.sources.columns import PAIR, Columns
from preftune.sources.rows import Row, RowError, quote
from preftune.sources.transcripts import parse_transcript
from preftune.sources.turns import (
    Turns,
    checked_answer,
    checked_prompt,
    split_first_answer,
    split_shared,
)

Convert = Callable[[Row], Group]


def explicit(columns: Columns, prompt: str, answers: Sequence[str], form: Form) -> Convert:
    """Rows with a prompt column: one response for each column of `answers`, best first."""

    def convert(row: Row) -> Group:
        question = columns.question(row, prompt)
        sides = [columns.answer(row, word) for word in answers]
        if any(side[0].role != "assistant" for side in sides):
            question, sides = _after_repeated_prompt(columns, row, question, sides)
        return _group(columns, row, question, dict(zip(answers, sides, strict=True)), form)

    return convert


def repeated_text(columns: Columns, prompt: str, answers: Sequence[str]) -> Convert:
    """Rows of plain text whose responses begin with the whole prompt: it is not trained."""

    def convert(row: Row) -> Group:
        question = columns.question(row, prompt)
        text = question[-1].content
        sides: list[Turns] = []
        for word in answers:
            whole = columns.text(row, word)
            if not whole.startswith(text):
                raise RowError(f"{word} does not repeat the prompt", f"it begins {quote(whole)}")
            sides.append((Message("assistant", whole[len(text) :]),))
        form: Form = "chat" if len(question) > 1 else "text"
        return _group(columns, row, question, dict(zip(answers, sides, strict=True)), form)

    return convert


def implicit(columns: Columns) -> Convert:
    """Rows with two whole conversations: the turns that they share are the prompt."""
    transcripts = columns.kinds["chosen"] == "text"

    def conversation(row: Row, word: str) -> Turns:
        if not transcripts:
            return columns.turns(row, word)
        return parse_transcript(columns.text(row, word), word)

    def convert(row: Row) -> Group:
        chosen, rejected = conversation(row, "chosen"), conversation(row, "rejected")
        shared, *sides = split_shared(chosen, rejected)
        question = columns.with_system(row, shared)
        return _group(columns, row, question, dict(zip(PAIR, sides, strict=True)), "chat")

    return convert


def conversation(columns: Columns, word: str) -> Convert:
    """Rows with one whole conversation: every assistant turn is the response."""

    def convert(row: Row) -> Group:
        question, answer = split_first_answer(columns.turns(row, word))
        question = columns.with_system(row, question)
        return _group(columns, row, question, {word: answer}, "chat")

    return convert


def _after_repeated_prompt(
    columns: Columns, row: Row, question: Turns, sides: Sequence[Turns]
) -> tuple[Turns, list[Turns]]:
    """Message lists that repeat the prompt, as UltraFeedback's do: what follows is the answer."""
    shared, *rest = (
        split_first_answer(sides[0]) if len(sides) == 1 else split_shared(sides[0], sides[-1])
    )
    asked = [turn.content.strip() for turn in question if turn.role == "user"][-1:]
    said = {turn.content.strip() for turn in shared if turn.role == "user"}
    if not said.issuperset(asked):
        seen = quote(shared[0].content) if shared else "an answer"
        raise RowError("prompt differs from the messages", f"the messages begin {seen}")
    return columns.with_system(row, shared), rest


def _group(
    columns: Columns, row: Row, question: Turns, answers: Mapping[str, Turns], form: Form
) -> Group:
    """The group of a checked row; `answers` gives each column's response, best first."""
    prompt = checked_prompt(question)
    checked = [checked_answer(turns, word) for word, turns in answers.items()]
    if len(checked) > 1 and checked[0] == checked[1]:
        raise RowError(
            "identical responses", f"both are {quote(checked[0][-1].content)}", broken=False
        )
    return Group(
        prompt=prompt,
        responses=tuple(Response(turns) for turns in checked),
        relations=(_FIRST_WINS,) if len(checked) > 1 else (),
        source=row.place,
        form=form,
        metadata=columns.metadata(row),
    )


_FIRST_WINS = Relation(winner=0, loser=1)
"""Shared by all pairs: a million of them need it once."""
