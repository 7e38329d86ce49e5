"""Text to token ids: one BOS, no space that is not in the text, no control token from data."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SHIELD = "\ufdd0\ufdd1"
"""Two noncharacters, put into text that spells a control token; taken out before encoding."""

_ANCHORS = ("\n", ".", "|", "#", "0", "a")


class Encoder:
    """A tokenizer that encodes the beginning of a text and its later pieces consistently.

    Some tokenizers put a space before any text they are given (sentencepiece's dummy prefix,
    byte-level BPE with `add_prefix_space`). A later piece must not gain it: it is encoded behind
    an anchor, a character that no merge joins to it, and the anchor's tokens are taken off.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer: Any = tokenizer
        self._texts: dict[int, str] = {}
        self.bos: int | None = self._tokenizer.bos_token_id
        self.eos: int | None = self._tokenizer.eos_token_id
        added = list(self._tokenizer.added_tokens_decoder.values())
        self.added = tuple(str(token.content) for token in added)
        self._controls = {str(t.content): t for t in added if t.special and t.content.strip()}
        longest_first = sorted(self._controls, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._control_ids = set(self._tokenizer.convert_tokens_to_ids(longest_first))
        self._firsts = {name[0] for name in longest_first}
        self.opening = self._opening()
        """What the tokenizer itself puts before a text: mostly BOS or nothing."""
        probe = self._encode(["a"])[0]
        names: list[str] = self._tokenizer.convert_ids_to_tokens(probe)
        self._adds_space = bool(names) and names[0][:1] in {"▁", "Ġ"}
        self._anchors = self._usable_anchors() if self._adds_space else []
        special = next(iter(longest_first), None)
        self._space_after_control = (
            special is not None and self._encode([f"{special}a"])[0][1:] == probe
        )

    def shield(self, text: str) -> str:
        """`text` marked so that the control tokens it spells stay plain text."""
        if not any(character in text for character in self._firsts):
            return text
        return self._control.sub(lambda match: match[0][0] + SHIELD + match[0][1:], text)

    def prompts(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of texts that start a sequence: with the tokenizer's BOS, once.

        A text that comes out empty is BOS, or EOS for tokenizers without one: something must
        predict the first response token. Empty where there is neither.
        """
        prompts: list[list[int]] = []
        for ids in self._encode_shielded(texts, starts=True):
            opened = ids if ids[: len(self.opening)] == self.opening else self.opening + ids
            spare = [token for token in (self.bos, self.eos) if token is not None][:1]
            prompts.append(opened or spare)
        return prompts

    def pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of texts that follow others, each on its own: no space is gained."""
        return self._encode_shielded(texts, starts=False)

    def text(self, token: int) -> str:
        """What a token writes, alone; control tokens by their name."""
        if token not in self._texts:
            self._texts[token] = self._token_text(token)
        return self._texts[token]

    def _opening(self) -> list[int]:
        bare = self._encode(["a"])[0]
        full: list[int] = self._tokenizer("a", verbose=False)["input_ids"]
        for start in range(len(full) - len(bare) + 1):
            if full[start : start + len(bare)] == bare:
                return full[:start]
        return []

    def _encode(self, texts: Sequence[str], *, literal: bool = False) -> list[list[int]]:
        if not texts:
            return []
        return self._tokenizer(
            list(texts),
            add_special_tokens=False,
            split_special_tokens=literal,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,  # no warning about the model's length: truncation is ours
        )["input_ids"]

    def _usable_anchors(self) -> list[tuple[str, list[int]]]:
        encoded = zip(_ANCHORS, self._encode(_ANCHORS), strict=True)
        unknown = self._tokenizer.unk_token_id
        return [(anchor, ids) for anchor, ids in encoded if unknown not in ids]

    def _encode_pieces(self, texts: Sequence[str], *, literal: bool = False) -> list[list[int]]:
        if not self._adds_space:
            return self._encode(texts, literal=literal)
        found: dict[int, list[int]] = {}
        open_ = list(range(len(texts)))
        for anchor, prefix in self._anchors:
            anchored = self._encode([anchor + texts[index] for index in open_], literal=literal)
            for index, ids in zip(open_, anchored, strict=True):
                if ids[: len(prefix)] == prefix:
                    found[index] = ids[len(prefix) :]
            open_ = [index for index in open_ if index not in found]
            if not open_:
                break
        rest = self._encode([texts[index] for index in open_], literal=literal)
        found.update(zip(open_, rest, strict=True))
        return [found[index] for index in range(len(texts))]

    def _encode_shielded(self, texts: Sequence[str], *, starts: bool) -> list[list[int]]:
        encode = self._encode if starts else self._encode_pieces
        results = encode([text.replace(SHIELD, "") for text in texts])
        for index, text in enumerate(texts):
            if SHIELD in text:
                results[index] = self._encode_literal(text, starts=starts)
        return results

    def _encode_literal(self, text: str, *, starts: bool) -> list[int]:
        """Stretch by stretch between control tokens, those in shielded text left as text."""
        ids: list[int] = []
        cursor = 0
        for match in self._control.finditer(text):
            ids += self._stretch(text, cursor, match.start(), starts=starts)
            ids.append(self._tokenizer.convert_tokens_to_ids(match[0]))
            cursor = match.end()
        return ids + self._stretch(text, cursor, len(text), starts=starts)

    def _stretch(self, text: str, start: int, end: int, *, starts: bool) -> list[int]:
        stretch = text[start:end]
        before = [token for name, token in self._controls.items() if text[:start].endswith(name)]
        after = [token for name, token in self._controls.items() if text.startswith(name, end)]
        if any(token.rstrip for token in before):
            stretch = stretch.lstrip()
        if any(token.lstrip for token in after):
            stretch = stretch.rstrip()
        if not stretch:
            return []
        gains_space = starts if start == 0 else self._space_after_control
        encode = self._encode if gains_space else self._encode_pieces
        ids = encode([stretch.replace(SHIELD, "")], literal=True)[0]
        if self._control_ids.isdisjoint(ids):
            return ids
        # The vocabulary of a Unigram model holds control tokens as words: break them in two.
        first, *others = stretch.split(SHIELD)
        parts = [*encode([first], literal=True), *self._encode_pieces(others, literal=True)]
        return [token for part in parts for token in part]

    def _token_text(self, token: int) -> str:
        name = str(self._tokenizer.convert_ids_to_tokens(token))
        if token in self._tokenizer.added_tokens_decoder:
            return name
        # Decoded behind another token: decoders take a space off what stands first.
        other = self._encode(["a"])[0]
        base: str = self._tokenizer.decode(other)
        text: str = self._tokenizer.decode([*other, token])[len(base) :]
        return name if "\ufffd" in text else text
