"""Where the prompt ends and which text of a response is trained."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from preftune.errors import DataError
from preftune.records import Group, Message, Response
from preftune.rendering.templates import TemplateRefusedError, Writer

_ANSWER = "preftune-answer-5e1f"
"""Stands in for an answer to see what a template writes around it."""
_QUESTION = Message("user", "preftune-question-5e1f")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a response: trained, or context only."""

    text: str
    trained: bool


@dataclass(frozen=True, slots=True)
class Split:
    """A group as text: the prompt, shared, and the pieces of each response after it."""

    prompt: str
    responses: tuple[tuple[Piece, ...], ...]
    """Empty for a response without an answer."""


class Continuation:
    """Plain text: the response goes on where the prompt stops, with nothing in between."""

    ending = ""
    closed = False
    prompt = "…"

    def split(self, group: Group) -> Split:
        """The contents as they are."""
        return Split(
            "".join(turn.content for turn in group.prompt),
            tuple(
                (Piece("".join(turn.content for turn in response.turns), trained=True),)
                if _answers(response)
                else ()
                for response in group.responses
            ),
        )


class Conversation:
    r"""Turns written by a template.

    The prompt is the template with its generation prompt; a response is what the whole rendered
    conversation has after it. Trained are, for every assistant turn, its content as the template
    writes it and its end-of-turn token; headers, later user and tool turns and whatever the
    template puts after an end-of-turn (`\n`) are not. Text after the last trained token is left
    out.

    Where the conversation does not start with the prompt, because the template rewrites earlier
    turns or its generation prompt is not what it writes before an answer (`<think>\n\n</think>`),
    the answer is found by rendering once more with a marker in its place, and put after the
    generation prompt. Two exceptions: a template without generation prompt, and one whose
    generation prompt leaves a thought open that the answers don't continue, lend the header that
    they do write. A turn is what the template shows of it in the whole conversation: reasoning
    that it drops from earlier turns is not trained.

    Args:
        write: The template.
        controls: Texts of the tokenizer's added tokens, by which an end-of-turn is known.
    """

    def __init__(self, write: Writer, controls: Collection[str]) -> None:
        self.write = write
        self._controls = controls
        try:
            plain = write([_QUESTION], opening=False)
            opened = write([_QUESTION], opening=True)
            before, found, self._footer = self._around([_QUESTION, Message("assistant", "")], 1)
        except TemplateRefusedError as error:
            raise _refused(error, "a question with its answer", "") from error
        if not found:
            raise _no_boundary("the template does not write the text of an answer", "")
        header = before[len(plain) :] if opened == plain and before.startswith(plain) else ""
        self._header = header.rstrip(" ") if header.strip() else ""
        """Before an answer, where the template ignores `add_generation_prompt`."""
        self.ending, self.closed = _end_of_turn(self._footer, controls)
        """What ends an answer, and whether that is a token of its own."""
        self._passing = self._passing_ending(opened[len(plain) :])
        self.prompt = opened + self._header
        """What a prompt looks like, for messages."""

    def split(self, group: Group) -> Split:
        """The group as text.

        Raises:
            DataError: PT201, the template refuses the turns; PT200, no boundary can be drawn.
        """
        try:
            texts = [
                self.write([*group.prompt, *response.turns], opening=False)
                if _answers(response)
                else ""
                for response in group.responses
            ]
            prompt = self._prompt(group, [text for text in texts if text])
            return Split(
                prompt,
                tuple(
                    self._pieces(group, response, text, prompt) if text else ()
                    for response, text in zip(group.responses, texts, strict=True)
                ),
            )
        except TemplateRefusedError as error:
            raise _refused(error, "this row", group.source) from error

    def _prompt(self, group: Group, texts: Sequence[str]) -> str:
        if not group.prompt:
            return self._written_header(group)
        if any(r.turns[:1] and r.turns[0].role != "assistant" for r in group.responses):
            return self._open_end(self.write(group.prompt, opening=False), texts)
        prompt = self.write(group.prompt, opening=True) + self._header
        if all(text.startswith(prompt) for text in texts):
            return prompt
        thought_left_open = prompt.rfind("<think>") > prompt.rfind("</think>")
        return self._written_header(group) if thought_left_open else prompt

    def _open_end(self, prompt: str, texts: Sequence[str]) -> str:
        """The prompt without what the template closes it with where no turn follows."""
        shared = _shared_start([prompt, *texts])
        ends = [shared.rfind(token) + len(token) for token in self._controls if token in shared]
        return shared if shared == prompt else shared[: max(ends, default=len(shared))]

    def _written_header(self, group: Group) -> str:
        turns = [*group.prompt, Message("assistant", "")]
        return self._around(turns, len(group.prompt))[0].rstrip(" ")

    def _pieces(
        self, group: Group, response: Response, text: str, prompt: str
    ) -> tuple[Piece, ...]:
        turns = [*group.prompt, *response.turns]
        first = len(group.prompt)
        pieces: list[Piece] = []
        cursor = len(prompt) if text.startswith(prompt) else None
        for index in range(first, len(turns)):
            if turns[index].role != "assistant":
                continue
            start, end = self._answer(turns, index, text, prompt if index == first else None, group)
            if cursor is None and index > first:
                raise _no_boundary("the text before the answer differs", group.source)
            if cursor is not None and cursor < start:
                pieces.append(Piece(text[cursor:start], trained=False))
            pieces.append(Piece(text[start:end], trained=True))
            cursor = end
        return tuple(pieces)

    def _answer(
        self, turns: Sequence[Message], index: int, text: str, prompt: str | None, group: Group
    ) -> tuple[int, int]:
        """From where to where, in the text of the whole conversation, an answer is trained."""
        last = index == len(turns) - 1
        if last and prompt is not None and text.startswith(prompt) and text.endswith(self._footer):
            # Nearly every row: nothing to look for.
            end = len(text) - len(self._footer)
            return len(prompt), max(len(prompt), end) + len(self.ending)
        before, found, after = self._around(turns, index)
        if prompt is None:
            prompt = self.write(turns[:index], opening=True) + self._header
        starts = [place for place in (prompt, before.rstrip(" ")) if text.startswith(place)]
        if not found or not starts or not text.endswith(after):
            raise _no_boundary(
                "the text before or after the answer changes with the answer", group.source
            )
        start = len(starts[0])
        end = max(start, len(text) - len(after))
        ending = self.ending if last else self._passing
        return start, end + (len(ending) if after.startswith(ending) else 0)

    def _passing_ending(self, header: str) -> str:
        """What ends an answer that other turns follow, whichever they are.

        Mostly the same as at the end of a conversation; some templates have another token there,
        some none: then the next turn's header comes at once, and that is not the answer's.
        """
        answered = [_QUESTION, Message("assistant", "")]
        try:
            user, assistant = (
                self._around([*answered, Message(role, "")], 1)[2] for role in ("user", "assistant")
            )
        except TemplateRefusedError:
            return self.ending
        shared = _shared_start([user, assistant])
        ending, closed = _end_of_turn(shared, self._controls)
        if not closed:
            return self.ending if shared.startswith(self.ending) else ""
        return "" if header.startswith(ending.strip()) else ending

    def _around(self, turns: Sequence[Message], index: int) -> tuple[str, str, str]:
        """The text before and after the content of a turn, the marker between them."""
        marked = list(turns)
        marked[index] = replace(turns[index], content=_ANSWER)
        return self.write(marked, opening=False).partition(_ANSWER)


def _answers(response: Response) -> bool:
    return any(turn.role == "assistant" and turn.content.strip() for turn in response.turns)


def _shared_start(texts: Sequence[str]) -> str:
    one, other = min(texts), max(texts)
    pairs = enumerate(zip(one, other, strict=False))
    return one[: next((index for index, (a, b) in pairs if a != b), len(one))]


def _end_of_turn(footer: str, controls: Collection[str]) -> tuple[str, bool]:
    """The footer through its first control token, or without the space at its end."""
    ends = [footer.find(token) + len(token) for token in controls if token in footer]
    return (footer[: min(ends)], True) if ends else (footer.rstrip(), False)


def _refused(error: TemplateRefusedError, what: str, source: str) -> DataError:
    return DataError(
        "PT201",
        f"The chat template refuses {what}: {error}",
        why="a row that the template can't write can't be trained in the model's own form.",
        fix="put the turns in the order the template asks for (mostly user, assistant, user, …, "
        "a system turn only where the model knows one), or leave the row out.",
        where=source or None,
    )


def _no_boundary(problem: str, source: str) -> DataError:
    return DataError(
        "PT200",
        f"No boundary between prompt and response can be drawn: {problem}.",
        why="prompt tokens would be trained, or response tokens left out.",
        fix="look at the row with `preftune show`, or use a template that writes answers as "
        "they are.",
        where=source or None,
    )
