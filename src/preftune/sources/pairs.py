"""From a row to a group: pairs and single responses, with their prompt as turns."""

from collections.abc import Callable, Mapping, Sequence

from preftune.records import Form, Group, Message, Rating, Relation, Response
from preftune.sources.columns import PAIR, Columns
from preftune.sources.judgements import Judge, judge_of
from preftune.sources.rows import Row, RowError, quote
from preftune.sources.thumbs import thumb_of
from preftune.sources.transcripts import parse_transcript
from preftune.sources.turns import (
    Turns,
    checked_answer,
    checked_prompt,
    split_first_answer,
    split_last_answer,
    split_shared,
)
from preftune.sources.verdicts import Says, judge_verdicts

Convert = Callable[[Row], Group]
_Build = Callable[[Row, Turns, Mapping[str, Turns], Form], Group]
"""From a row, its prompt and the response of each column to the group."""


def explicit(
    columns: Columns, prompt: str, answers: Sequence[str], form: Form, says: Says | None = None
) -> Convert:
    """Rows with a prompt column: one response for each column of `answers`.

    They stand best first, or as they were shown where `says` tells what the verdicts mean.
    """
    build = _builder(columns, len(answers), says)

    def convert(row: Row) -> Group:
        question = columns.question(row, prompt)
        sides = [columns.answer(row, word) for word in answers]
        if any(side[0].role != "assistant" for side in sides):
            question, sides = _after_repeated_prompt(columns, row, question, answers, sides)
        return build(row, question, dict(zip(answers, sides, strict=True)), form)

    return convert


def repeated_text(
    columns: Columns, prompt: str, answers: Sequence[str], says: Says | None = None
) -> Convert:
    """Rows of plain text whose responses begin with the whole prompt: it is not trained."""
    build = _builder(columns, len(answers), says)

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
        return build(row, question, dict(zip(answers, sides, strict=True)), form)

    return convert


def implicit(
    columns: Columns, answers: tuple[str, str] = PAIR, says: Says | None = None
) -> Convert:
    """Rows with two whole conversations: the turns that they share are the prompt."""
    transcripts = columns.kinds[answers[0]] == "text"
    build = _builder(columns, len(answers), says)

    def conversation(row: Row, word: str) -> Turns:
        if not transcripts:
            return columns.turns(row, word)
        return parse_transcript(columns.text(row, word), word)

    def convert(row: Row) -> Group:
        one, other = (conversation(row, word) for word in answers)
        shared, *sides = split_shared(one, other, answers)
        question = columns.with_system(row, shared)
        return build(row, question, dict(zip(answers, sides, strict=True)), "chat")

    return convert


def conversation(columns: Columns, word: str) -> Convert:
    """Rows with one whole conversation: every assistant turn is the response.

    A thumb is for what the assistant said last, so only that is the response where there is one.
    """
    build = _builder(columns, 1)
    split = split_last_answer if "label" in columns.names else split_first_answer

    def convert(row: Row) -> Group:
        question, answer = split(columns.turns(row, word))
        return build(row, columns.with_system(row, question), {word: answer}, "chat")

    return convert


def _after_repeated_prompt(
    columns: Columns, row: Row, question: Turns, words: Sequence[str], sides: Sequence[Turns]
) -> tuple[Turns, list[Turns]]:
    """Message lists that repeat the prompt, as UltraFeedback's do: what follows is the answer."""
    shared, *rest = (
        split_first_answer(sides[0])
        if len(sides) == 1
        else split_shared(sides[0], sides[1], (words[0], words[1]))
    )
    asked = [turn.content.strip() for turn in question if turn.role == "user"][-1:]
    said = {turn.content.strip() for turn in shared if turn.role == "user"}
    if not said.issuperset(asked):
        seen = quote(shared[0].content) if shared else "an answer"
        raise RowError("prompt differs from the messages", f"the messages begin {seen}")
    return columns.with_system(row, shared), rest


def _builder(columns: Columns, sides: int, says: Says | None = None) -> _Build:
    """What makes the group of a row with one response or two, and their judgements."""
    judge = judge_of(columns) if says is None else _judge_by(judge_verdicts(columns, says))
    labelled = "label" in columns.names

    def build(row: Row, question: Turns, answers: Mapping[str, Turns], form: Form) -> Group:
        prompt = checked_prompt(question)
        checked = [checked_answer(turns, word) for word, turns in answers.items()]
        relations: tuple[Relation, ...] = ()
        ratings: tuple[Rating | None, ...] = (thumb_of(columns, row),) if labelled else (None,)
        if sides > 1:
            if checked[0] == checked[1]:
                raise _identical(checked[0])
            relations, *both = judge(row)
            ratings = tuple(both)
        return Group(
            prompt=prompt,
            responses=tuple(map(Response, checked, ratings)),
            relations=relations,
            source=row.place,
            form=form,
            weight=columns.weight(row),
            shown=says is not None,
            metadata=columns.metadata(row),
        )

    return build


def _judge_by(verdicts: Callable[[Row], tuple[Relation, ...]]) -> Judge:
    return lambda row: (verdicts(row), None, None)


def _identical(turns: Turns) -> RowError:
    return RowError("identical responses", f"both are {quote(turns[-1].content)}", broken=False)
