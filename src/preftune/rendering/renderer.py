"""Groups to token groups: written, encoded, checked, fitted to the limit, all counted."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from preftune.errors import ConfigError, DataError
from preftune.records import Exclusion, Form, Group, Intake, Message, TokenGroup, TokenResponse
from preftune.rendering import announcement
from preftune.rendering.boundary import Continuation, Conversation, Piece, Split
from preftune.rendering.encoder import SHIELD, Encoder
from preftune.rendering.templates import ChatTemplate, transcript
from preftune.rendering.truncation import POLICIES, Fitted, Policy, distinct, fit

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ROW_FORMS: tuple[Form, ...] = ("chat", "text")
_FORMS = ("auto", "chat", "text")
_CHUNK = 4096
"""Groups encoded at a time: enough for the tokenizer's threads, little memory."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """What is trained on, and the account of what was left out or cut."""

    groups: list[TokenGroup]
    intake: Intake
    truncated: dict[str, int]
    """How often something was cut, by what: rows, and ends of responses one by one."""
    announcement: str
    """How the rows were written, for a person."""


class Renderer:
    """Turns groups into token ids for one tokenizer.

    Args:
        tokenizer: Any tokenizer of transformers.
        max_tokens: Limit for the prompt and the longest response together.
        truncation: What happens to groups over it: `drop` leaves them out, `prompt-left` cuts the
            prompt's beginning (BOS stays), `response` cuts all responses to the same length.
        form: `auto` writes conversations, and text where the tokenizer has a chat template, with
            that template; conversations without a template as a plain transcript; text without
            a template as text to continue. `chat` writes text as a conversation in any case;
            `text` never uses the template.

    Raises:
        ConfigError: PT301, a value is out of range; DataError: PT201, the template refuses a
            plain question with its answer.
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        *,
        max_tokens: int,
        truncation: Policy,
        form: Literal["auto", "chat", "text"] = "auto",
    ) -> None:
        _check(max_tokens, truncation, form)
        self.max_tokens = max_tokens
        self.truncation: Policy = truncation
        self.form = form
        self.encoder = Encoder(tokenizer)
        self._tokenizer: Any = tokenizer

    def render(self, groups: Sequence[Group], intake: Intake) -> Rendering:
        """Token groups within the limit, and the account continued from `intake`.

        Raises:
            DataError: PT200 or PT201 with the row: no boundary, or the template refuses it.
        """
        used: list[TokenGroup] = []
        exclusions: list[Exclusion] = []
        cuts: Counter[str] = Counter()
        spelling = 0
        for split, whole in self._rows(groups):
            spelling += _spells_controls(split)
            fitted = self.fit(whole)
            cuts.update(fitted.cuts)
            if fitted.group is None:
                exclusions.append(exclusion(whole, fitted.reason))
            else:
                used.append(fitted.group)
        said = self.announcement({group.form for group in groups}, spelling)
        return Rendering(used, intake.then(exclusions), dict(cuts), said)

    def untruncated(self, groups: Sequence[Group]) -> Iterator[TokenGroup]:
        """Every group in full, in order, whatever its length or content."""
        return (whole for _, whole in self._rows(groups))

    def attempts(self, groups: Sequence[Group]) -> Iterator[TokenGroup | DataError]:
        """Every group in full, in order, or why it can't be written, for those who count them.

        Raises:
            DataError: PT201, the template refuses even a plain question with its answer.
        """
        for found in self._attempts(groups):
            yield found if isinstance(found, DataError) else found[1]

    def closed(self, form: Form) -> bool:
        """Whether rows of this form end their answers with a token of the template's own."""
        return self._format(form).closed

    def fit(self, group: TokenGroup) -> Fitted:
        """The group as it is trained on, or why it is not."""
        first = distinct(group, "rendering")
        if first.group is None:
            return first
        then = fit(
            first.group, limit=self.max_tokens, policy=self.truncation, keep=self.kept(group)
        )
        return replace(then, cuts=first.cuts + then.cuts)

    def kept(self, group: TokenGroup) -> int:
        """Number of tokens at the start of a prompt that are never cut: BOS or the like."""
        opening = self.encoder.opening or [self.encoder.bos]
        start: list[int] = group.prompt_ids[: len(opening)].tolist()
        return len(opening) if start == opening else 0

    def announcement(self, forms: Collection[Form], spelling: int = 0) -> str:
        """How rows of these forms are written.

        Args:
            forms: Of the rows.
            spelling: Number of rows that spell control tokens in their text.
        """
        present: list[Form] = [form for form in _ROW_FORMS if form in forms] or ["chat"]
        formats: dict[Form, Conversation | Continuation] = {
            form: self._format(form) for form in present
        }
        said = [
            announcement.manner(form, writer, has_template=bool(self._tokenizer.chat_template))
            for form, writer in formats.items()
        ]
        said.append(announcement.ends(formats.values(), self.encoder))
        if self.truncation == "prompt-left":
            said.append("Long prompts are cut on the left, after BOS.")
        if spelling:
            said.append(announcement.spelling(spelling))
        return " ".join(dict.fromkeys(said))

    def _format(self, form: Form) -> Conversation | Continuation:
        template = bool(self._tokenizer.chat_template) and self.form != "text"
        if template or form == "chat" or self.form == "chat":
            return self._conversation
        return Continuation()

    @cached_property
    def _conversation(self) -> Conversation:
        if self._tokenizer.chat_template and self.form != "text":
            return Conversation(ChatTemplate(self._tokenizer), self.encoder.added)
        return Conversation(transcript, ())

    def _rows(self, groups: Sequence[Group]) -> Iterator[tuple[Split, TokenGroup]]:
        for found in self._attempts(groups):
            if isinstance(found, DataError):
                raise found
            yield found

    def _attempts(self, groups: Sequence[Group]) -> Iterator[tuple[Split, TokenGroup] | DataError]:
        for start in range(0, len(groups), _CHUNK):
            chunk = groups[start : start + _CHUNK]
            splits = [self._split(group) for group in chunk]
            written = [
                (group, split)
                for group, split in zip(chunk, splits, strict=True)
                if isinstance(split, Split)
            ]
            encoded = self._encode(written)
            for split in splits:
                if isinstance(split, DataError):
                    yield split
                else:
                    group = next(encoded)
                    yield group if isinstance(group, DataError) else (split, group)

    def _split(self, group: Group) -> Split | DataError:
        writer = self._format(group.form)  # what it raises is not the row's fault
        try:
            return writer.split(self._shielded(group))
        except DataError as error:
            return error

    def _shielded(self, group: Group) -> Group:
        shield = self.encoder.shield
        turns = [*group.prompt, *(turn for response in group.responses for turn in response.turns)]
        if all(shield(turn.content) is turn.content for turn in turns):
            return group

        def cover(turns: Sequence[Message]) -> tuple[Message, ...]:
            return tuple(replace(turn, content=shield(turn.content)) for turn in turns)

        responses = tuple(replace(answer, turns=cover(answer.turns)) for answer in group.responses)
        return replace(group, prompt=cover(group.prompt), responses=responses)

    def _encode(self, written: Sequence[tuple[Group, Split]]) -> Iterator[TokenGroup | DataError]:
        prompts = self.encoder.prompts([split.prompt for _, split in written])
        pieces = iter(
            self.encoder.pieces(
                [piece.text for _, split in written for part in split.responses for piece in part]
            )
        )
        for (group, split), prompt in zip(written, prompts, strict=True):
            if not prompt:
                for _ in (piece for part in split.responses for piece in part):
                    next(pieces)
                yield _empty_prompt(group.source)
                continue
            closed = self._format(group.form).closed
            end = [] if closed or self.encoder.eos is None else [self.encoder.eos]
            yield TokenGroup(
                prompt_ids=np.array(prompt, np.int32),
                responses=tuple(
                    replace(_tokens(part, pieces, end), rating=response.rating)
                    for part, response in zip(split.responses, group.responses, strict=True)
                ),
                relations=group.relations,
                source=group.source,
                weight=group.weight,
                metadata=group.metadata,
            )


def exclusion(group: TokenGroup, reason: str) -> Exclusion:
    """The account of a group that is not used, with its lengths."""
    longest = max((len(response.ids) for response in group.responses), default=0)
    detail = f"prompt {len(group.prompt_ids):,} tokens, longest response {longest:,}"
    return Exclusion(group.source, reason, detail, broken=False)


def _tokens(
    pieces: Sequence[Piece], encoded: Iterator[list[int]], end: Sequence[int]
) -> TokenResponse:
    ids: list[int] = []
    trained: list[bool] = []
    for piece in pieces:
        part = next(encoded)
        ids += part
        trained += [piece.trained] * len(part)
    if ids:
        ids += end
        trained += [True] * len(end)
    return TokenResponse(np.array(ids, np.int32), np.array(trained, bool))


def _spells_controls(split: Split) -> bool:
    texts = [split.prompt, *(piece.text for part in split.responses for piece in part)]
    return any(SHIELD in text for text in texts)


def _check(max_tokens: int, truncation: str, form: str) -> None:
    wrong = None
    if max_tokens < 2:
        wrong = f"max_tokens must be at least 2, got {max_tokens}"
    elif truncation not in POLICIES:
        wrong = f"truncation must be one of {', '.join(POLICIES)}, got {truncation!r}"
    elif form not in _FORMS:
        wrong = f"form must be one of {', '.join(_FORMS)}, got {form!r}"
    if wrong:
        raise ConfigError(
            "PT301", wrong + ".", why="rows can't be written.", fix="give one of these values."
        )


def _empty_prompt(source: str) -> DataError:
    return DataError(
        "PT200",
        "The prompt has no tokens, and the tokenizer has neither BOS nor EOS to stand for it.",
        why="something must predict the first token of a response.",
        fix="give the row a prompt, or the tokenizer a BOS token.",
        where=source or None,
    )
