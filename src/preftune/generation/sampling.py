"""Responses sampled from a model, in batches of prompts of like length.

The model is used as it is, in the precision of its weights. Give it a plain model as `load_model`
returns it: not one inside a training wrapper, whose gradients, adapters or sharding would be in
the way; a run's result is loaded afresh from the run folder's `model/`. A model whose attention
was replaced for packed batches is switched to the standard attention for the call and back after.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from preftune.records import TokenResponse
from preftune.records.tokens import Ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ROWS_AT_ONCE = 128


def generate(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: Sequence[Ids],
    *,
    n: int = 1,
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_new_tokens: int,
    seed: int,
    rows_at_once: int = ROWS_AT_ONCE,
) -> list[list[TokenResponse]]:
    """`n` responses to each prompt, in the order of the prompts.

    Nothing but the arguments decides how tokens are drawn: the model's own generation settings
    (top-k, repetition penalty and so on) are set aside, so that at `temperature=1, top_p=1` the
    samples are those of the model's distribution. The same arguments give the same responses;
    another `rows_at_once` gives others.

    Args:
        prompts: Token ids of each prompt, at least one token.
        n: Responses to each prompt.
        temperature: Divides the logits; 0 takes the likeliest token every time.
        top_p: Only the likeliest tokens that together have this probability are drawn, in (0, 1].
        max_new_tokens: Where a response is cut that did not end by itself.
        seed: Of the draws; torch's own random state is left as it was.
        rows_at_once: Responses in one batch.

    Returns:
        For each prompt `n` responses. A response that ended by itself includes its end-of-sequence
        token, trained like every other; one that was cut does not.

    Raises:
        ValueError: a prompt is empty or a number is out of range.
    """
    counts = {"n": n, "max_new_tokens": max_new_tokens, "rows_at_once": rows_at_once}
    _check(prompts, temperature, top_p, counts)
    ends = end_ids(model, tokenizer)
    order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index]), index))
    rows = [index for index in order for _ in range(n)]
    result: list[list[TokenResponse]] = [[] for _ in prompts]
    with _sampling(model, ends, temperature, top_p, max_new_tokens), _seeded(model, seed):
        for start in range(0, len(rows), rows_at_once):
            chunk = rows[start : start + rows_at_once]
            ids, real = _left_padded([prompts[index] for index in chunk], ends[0])
            drawn = _draw(model, ids.to(model.device), real.to(model.device))
            for index, row in zip(chunk, drawn.cpu().numpy(), strict=True):
                result[index].append(_response(row, ends))
    return result


def _draw(model: "PreTrainedModel", ids: Tensor, real: Tensor) -> Tensor:
    """New tokens, shape (row, at most max_new_tokens), padded after the end of a row."""
    run: Any = model.generate  # its signature is a union of unfinished types
    with torch.inference_mode():
        return run(input_ids=ids, attention_mask=real)[:, ids.shape[1] :]


def _left_padded(prompts: Sequence[Ids], pad: int) -> tuple[Tensor, Tensor]:
    """Ids and attention mask, shape (row, width); padding stands before the prompt."""
    width = max(len(prompt) for prompt in prompts)
    ids = np.full((len(prompts), width), pad, np.int64)
    real = np.zeros((len(prompts), width), np.int64)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = prompt
        real[row, width - len(prompt) :] = 1
    return torch.from_numpy(ids), torch.from_numpy(real)


def _response(row: np.ndarray, ends: Sequence[int]) -> TokenResponse:
    """The row up to its first end-of-sequence token, that one included."""
    at = np.flatnonzero(np.isin(row, ends))
    ids = row[: at[0] + 1] if len(at) else row
    return TokenResponse(ids.astype(np.int32), np.ones(len(ids), np.bool_))


def end_ids(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Tokens that end a response: the tokenizer's end of sequence first, then others that the
    model names, such as an end of turn.

    Raises:
        ValueError: neither names one.
    """
    config: Any = model.generation_config
    named: Any = config.eos_token_id if config is not None else None
    found: list[Any] = [tokenizer.eos_token_id]
    found += named if isinstance(named, list) else [named]
    ends = list(dict.fromkeys(end for end in found if isinstance(end, int)))
    if not ends:
        raise ValueError("Neither tokenizer nor model names an end-of-sequence token.")
    return ends


@contextmanager
def _sampling(
    model: "PreTrainedModel",
    ends: list[int],
    temperature: float,
    top_p: float,
    max_new_tokens: int,
) -> Generator[None]:
    """The model in evaluation mode, with our sampling settings only; as it was afterwards."""
    from transformers import GenerationConfig

    settings: dict[str, Any] = {"do_sample": temperature > 0}
    if temperature > 0:
        settings |= {"temperature": temperature, "top_p": top_p, "top_k": 0}
    state: Any = model
    training, own = model.training, state.generation_config
    attention: str = state.config._attn_implementation
    model.eval()
    # Replaced rather than passed: what is passed gets its gaps filled from the model's own.
    state.generation_config = GenerationConfig(
        max_new_tokens=max_new_tokens, eos_token_id=ends, pad_token_id=ends[0],
        use_cache=True, **settings,
    )  # fmt: skip
    if attention.startswith("preftune"):
        state.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        if attention.startswith("preftune"):
            state.set_attn_implementation(attention)
        state.generation_config = own
        model.train(training)


@contextmanager
def _seeded(model: "PreTrainedModel", seed: int) -> Generator[None]:
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


def _check(
    prompts: Sequence[Ids], temperature: float, top_p: float, counts: dict[str, int]
) -> None:
    for index, prompt in enumerate(prompts):
        if len(prompt) == 0:
            raise ValueError(f"Prompt {index} is empty: nothing predicts its first token.")
    for name, number in counts.items():
        if number < 1:
            raise ValueError(f"{name} must be >= 1, got {number}.")
    if temperature < 0:
        raise ValueError(f"temperature must be >= 0, got {temperature}.")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p must be in (0, 1], got {top_p}.")
