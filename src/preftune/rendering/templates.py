"""How a conversation is written as text: the tokenizer's template, or a plain transcript."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from preftune.errors import ConfigError
from preftune.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_DATE = datetime(2024, 7, 26, tzinfo=UTC)
"""What templates take for today: rows must not change from one day to the next."""
_DATE_CALL = re.compile(r"""strftime_now\(\s*(["'])(.*?)\1\s*\)""")
_NAMES = {"user": "Human", "assistant": "Assistant"}


class TemplateRefusedError(Exception):
    """The template raised on these turns; the message is the template's own."""


class Writer(Protocol):
    """Turns to text; with `opening`, the text ends where the assistant is to answer."""

    def __call__(self, turns: Sequence[Message], *, opening: bool) -> str:
        """The text of `turns`."""
        ...


class ChatTemplate:
    """The tokenizer's own chat template, with its clock stopped."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer: Any = tokenizer
        template = self._default()
        self._template = _DATE_CALL.sub(lambda call: repr(_DATE.strftime(call[2])), template)
        self.dated = self._template != template or "date_string" in template

    def _default(self) -> str:
        try:
            return self._tokenizer.get_chat_template()
        except ValueError as error:
            raise ConfigError(
                "PT301",
                "The tokenizer has several chat templates and none of them is the default.",
                why="rows can only be written with one.",
                fix="set `tokenizer.chat_template` to the one that is meant.",
            ) from error

    def __call__(self, turns: Sequence[Message], *, opening: bool) -> str:
        """The rendered text.

        Raises:
            TemplateRefusedError: the template raised.
        """
        from jinja2 import TemplateError

        conversation = [{"role": turn.role, "content": turn.content} for turn in turns]
        try:
            return self._tokenizer.apply_chat_template(
                conversation,
                chat_template=self._template,
                tokenize=False,
                add_generation_prompt=opening,
                date_string=_DATE.strftime("%d %b %Y"),
            )
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise TemplateRefusedError(str(error) or type(error).__name__) from error


def transcript(turns: Sequence[Message], *, opening: bool) -> str:
    r"""The fallback for tokenizers without a template: HH-RLHF's spelling.

    A first system turn stands in front as it is. The prompt ends before the space, so that the
    answer starts with the space that goes with its first word.

    Example:
        >>> transcript([Message("user", "Hi"), Message("assistant", "Hello")], opening=False)
        '\n\nHuman: Hi\n\nAssistant: Hello'
        >>> transcript([Message("user", "Hi")], opening=True)
        '\n\nHuman: Hi\n\nAssistant:'
    """
    parts = [
        turn.content
        if index == 0 and turn.role == "system"
        else f"\n\n{_NAMES.get(turn.role, turn.role.capitalize())}: {turn.content}"
        for index, turn in enumerate(turns)
    ]
    return "".join(parts) + ("\n\nAssistant:" if opening else "")
