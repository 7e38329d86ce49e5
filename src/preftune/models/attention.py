"""Attention over a packed row: responses see their prompt and themselves, not each other.

Reached through transformers' `AttentionInterface` under the name `PACKED`; the row's `Packing` is a
keyword argument of the model's forward. Without one it is ordinary attention, so the same model
still generates and scores padded rows.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import dropout as drop
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface

from preftune.models import varlen
from preftune.models.packing import Packing

PACKED = "preftune_packed"


class CannotPackError(ValueError):
    """The model asks its attention for something that packed rows do not offer."""


@dataclass(slots=True)
class Locality:
    """What a model did in a packed forward: does its attention know what its masks would say?"""

    asked: set[int] = field(default_factory=set[int])
    """Windows that it wanted masks for."""
    told: set[int] = field(default_factory=set[int])
    """Windows that it told its attention."""
    reached: bool = False
    """Whether the packing came through to the attention."""


_packed_forward: ContextVar[Locality | None] = ContextVar("packed_forward", default=None)


@contextmanager
def packed_forward() -> Generator[Locality]:
    """Around a forward over a packed row: the model's own masks are not made."""
    locality = Locality()
    token = _packed_forward.set(locality)
    try:
        yield locality
    finally:
        _packed_forward.reset(token)


def register() -> None:
    """Make `PACKED` known to transformers."""
    AttentionInterface.register(PACKED, packed_attention)
    AttentionMaskInterface.register(PACKED, _mask)


def _mask(*args: Any, **settings: Any) -> Tensor | None:
    locality = _packed_forward.get()
    if locality is None:
        return cast(Any, AttentionMaskInterface())["sdpa"](*args, **settings)
    if settings.get("local_size"):
        locality.asked.add(int(settings["local_size"]))
    return None


@torch.compiler.disable
def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packing: Packing | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **settings: Any,
) -> tuple[Tensor, None]:
    """Attention of all groups of the row; exact, whatever their number of responses.

    The prompt's queries run once, with the first response's, in one causal call. The queries of
    each later response run over its prompt's keys and its own. Windows count positions, that is
    within prompt + own response.

    Args:
        module: The attention layer, as transformers hands it over; not used.
        query: (1, head, position, width).
        key: (1, key head, position, width); key heads divide heads.
        value: (1, key head, position, value width).
        attention_mask: None for a packed row.
        packing: The row's; without it, ordinary attention under `attention_mask`.
        scaling: Factor of the scores; 1 / sqrt(width) by default.
        dropout: Probability.
        sliding_window: Number of positions seen, own included.
        softcap: Bound of the scores (Gemma 2).
        settings: What else the model passes; refused where it would change the result.

    Returns:
        (1, position, head, value width), and no weights.

    Raises:
        CannotPackError: sinks, position biases or a mask of the model's own.
    """
    if any(settings.get(name) is not None for name in ("s_aux", "sinks", "position_bias")):
        raise CannotPackError("its attention has sinks or position biases")
    rule = _Rule(scaling, dropout, softcap, sliding_window)
    if packing is None:
        return _plain(module, query, key, value, attention_mask, rule, settings)
    if attention_mask is not None or settings.get("is_causal") is False:
        raise CannotPackError("its attention has masks of its own")
    locality = _packed_forward.get()
    if locality is not None:
        locality.reached = True
        locality.told |= {sliding_window} if sliding_window else set()
    if softcap is None and not dropout and varlen.serves(query, value):
        return varlen.attend(
            query, key, value, packing, window=sliding_window, scaling=scaling
        ), None
    return _piece_by_piece(query, key, value, packing, rule), None


def _piece_by_piece(
    query: Tensor, key: Tensor, value: Tensor, packing: Packing, rule: "_Rule"
) -> Tensor:
    # One split each: its backward is one concatenation, where slices would add whole rows.
    cut = [torch.split(row, packing.sizes, 2) for row in (query, key, value)]
    pieces = iter(zip(*cut, strict=True))
    outputs: list[Tensor] = []
    for prompt, later in packing.groups:
        queries, keys, values = next(pieces)
        outputs.append(rule.attend(queries, keys, values, packing))
        # Prompt keys that the window hides from all responses need not be read.
        first = max(0, prompt - rule.window + 1) if rule.window else 0
        prompt_keys, prompt_values = keys[:, :, first:prompt], values[:, :, first:prompt]
        for _ in range(later):
            queries, keys, values = next(pieces)
            keys = torch.cat([prompt_keys, keys], 2)
            values = torch.cat([prompt_values, values], 2)
            outputs.append(rule.attend(queries, keys, values, packing))
    return torch.cat([output.transpose(1, 2) for output in outputs], 1)


@dataclass(frozen=True, slots=True)
class _Rule:
    """One layer's kind of attention."""

    scaling: float | None
    dropout: float
    softcap: float | None
    window: int | None

    def attend(self, query: Tensor, key: Tensor, value: Tensor, packing: Packing) -> Tensor:
        """Causal attention of the last positions of `key`: (1, head, query, value width)."""
        keys = key.shape[2]
        window = self.window if self.window is not None and self.window < keys else None
        if self.softcap is None and window is None and query.shape[2] == keys:
            return scaled_dot_product_attention(
                query,
                key,
                value,
                dropout_p=self.dropout,
                is_causal=True,
                scale=self.scaling,
                enable_gqa=query.shape[1] != key.shape[1],
            )
        mask = packing.mask(query, keys, window, query.shape[1] // key.shape[1])
        return self.attend_masked(query, key, value, mask)

    def attend_masked(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """The same under an explicit mask, whose rows count the folded queries."""
        # Heads that share keys become further queries: no key is repeated.
        batch, heads, queries, width = query.shape
        folded = query.reshape(batch, key.shape[1], -1, width)
        if self.softcap is None:
            output = scaled_dot_product_attention(
                folded, key, value, attn_mask=mask, dropout_p=self.dropout, scale=self.scaling
            )
        else:
            output = self._attend_capped(folded, key, value, mask)
        return output.reshape(batch, heads, queries, -1)

    def _attend_capped(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        assert self.softcap is not None
        scaling = query.shape[-1] ** -0.5 if self.scaling is None else self.scaling
        scores = query @ key.transpose(2, 3)
        scores = scores if scores.dtype == torch.float64 else scores.float()
        scores = self.softcap * torch.tanh(scores * (scaling / self.softcap))
        # Not -inf: a query of left padding sees nothing, and must not become NaN.
        weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1)
        return drop(weights.to(value.dtype), self.dropout) @ value


def _plain(  # noqa: PLR0917
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    rule: _Rule,
    settings: dict[str, Any],
) -> tuple[Tensor, None]:
    """What transformers' own `sdpa` does, and the soft cap besides."""
    if rule.softcap is None:
        return cast(Any, AttentionInterface())["sdpa"](
            module,
            query,
            key,
            value,
            mask,
            dropout=rule.dropout,
            scaling=rule.scaling,
            is_causal=settings.get("is_causal"),
        )
    if mask is None:
        queries, keys = query.shape[2], key.shape[2]
        mask = torch.ones(queries, keys, dtype=torch.bool, device=query.device)
        mask = mask.tril(keys - queries)
    folds = query.shape[1] // key.shape[1]
    output = rule.attend_masked(query, key, value, mask.repeat(*[1] * (mask.dim() - 2), folds, 1))
    return output.transpose(1, 2).contiguous(), None
