"""What a model answers to prompts."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from preftune.generation import end_ids, generate
from preftune.judging import Scorer
from preftune.records import TokenResponse
from preftune.records.tokens import Ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Responses:
    """One model's responses to the prompts: arrays of one value per prompt."""

    tokens: list[TokenResponse]
    texts: list[str]
    scores: Floats
    lengths: Floats
    """Tokens, the end-of-sequence token included."""
    finished: Floats
    """1 where the response ended by itself."""

    @classmethod
    def draw(
        cls,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        prompts: Sequence[str],
        ids: Sequence[Ids],
        scorer: Scorer,
        *,
        seed: int,
        max_new_tokens: int,
    ) -> "Responses":
        """Sample one response to each prompt and score prompt + response."""
        drawn = generate(model, tokenizer, ids, max_new_tokens=max_new_tokens, seed=seed)
        tokens = [responses[0] for responses in drawn]
        texts = [
            response_text(tokenizer, prompt, response.ids)
            for prompt, response in zip(ids, tokens, strict=True)
        ]
        whole = [prompt + text for prompt, text in zip(prompts, texts, strict=True)]
        lengths = np.array([len(response.ids) for response in tokens], np.float64)
        ends = end_ids(model, tokenizer)
        ended = [int(response.ids[-1]) in ends for response in tokens]
        return cls(tokens, texts, scorer.score(whole), lengths, np.array(ended, np.float64))


def response_text(tokenizer: "PreTrainedTokenizerBase", prompt: Ids, response: Ids) -> str:
    """What the response adds to the prompt: decoded behind it, so that no space is lost."""
    plain: Any = tokenizer  # decode's signature allows a batch, too
    given: str = plain.decode(prompt, skip_special_tokens=True)
    both: str = plain.decode(np.concatenate([prompt, response]), skip_special_tokens=True)
    return both[len(given) :]


def distinct_bigrams(texts: Sequence[str]) -> float:
    """Distinct word pairs / word pairs of all texts together; 0 where there are none.

    >>> distinct_bigrams(["a good film", "a good day"])
    0.75
    """
    words = [text.split() for text in texts]
    found = [pair for row in words for pair in pairwise(row)]
    return len(set(found)) / len(found) if found else 0.0
