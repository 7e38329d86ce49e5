"""Running a model over packed or padded rows, and from hidden states to log-probs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel

from preftune.batching import Batch
from preftune.models.architecture import LogitRule, backbone, output_layer, takes
from preftune.models.attention import packed_forward
from preftune.models.head import TokenStatistics, statistics_of_logits, token_statistics
from preftune.models.packing import Packing
from preftune.models.padded import padded_rows
from preftune.models.vocabulary import LazyLogits

Layout = Literal["packed", "padded"]


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """One forward: what the model is given, and which of its places predict which tokens."""

    model: dict[str, Any]
    row: Tensor
    column: Tensor
    """(trained,) places of the predictors."""
    tokens: Tensor
    """(trained,) the tokens they predict: indices of the batch's `token` axis."""


def packed_inputs(batch: Batch) -> Iterator[Inputs]:
    """One forward over the row as it is."""
    tokens = batch.trained
    column = batch.predictor[tokens]
    model = {
        "input_ids": batch.ids[None],
        "position_ids": batch.positions[None],
        "packing": Packing(batch.segments),
    }
    yield Inputs(model, torch.zeros_like(column), column, tokens)


def padded_inputs(batch: Batch) -> Iterator[Inputs]:
    """One forward for each chunk of right-padded rows."""
    for rows in padded_rows(batch):
        model = {"input_ids": rows.ids, "attention_mask": torch.ones_like(rows.ids)}
        yield Inputs(model, rows.row, rows.column, rows.tokens)


def score(
    model: PreTrainedModel,
    batch: Batch,
    *,
    layout: Layout,
    logit_rule: LogitRule | None,
    collision: bool = False,
    reference: LazyLogits | Tensor | None = None,
) -> TokenStatistics:
    """Log p of the batch's response tokens, and what else is asked for; 0 where not trained.

    Args:
        model: The causal language model.
        batch: What to score.
        layout: How the batch is laid out for the model.
        logit_rule: How logits come from the output layer; none: by the model itself, all of them.
        collision: Ask for the collision.
        reference: Another model's `predictions` of the same batch. Asks for the KL, which is made
            from all logits where either model makes them itself.

    Raises:
        ValueError: the reference has another vocabulary.
    """
    rule = _usable(model, logit_rule)
    found: list[TokenStatistics] = []
    tokens: list[Tensor] = []
    with _attending(layout):
        for part in _inputs(batch, layout):
            targets = batch.targets[part.tokens]
            frozen = None if reference is None else reference[part.tokens]
            if rule is None or isinstance(frozen, Tensor):
                made = frozen.in_full() if isinstance(frozen, LazyLogits) else frozen
                logits = own_logits(model, part)
                one = statistics_of_logits(logits, targets, collision=collision, reference=made)
            else:
                lazy = lazy_logits(model, predictors(model, part), rule)
                one = token_statistics(lazy, targets, collision=collision, reference=frozen)
            found.append(one)
            tokens.append(part.tokens)
    if not found:
        zeros = torch.zeros(len(batch.mask), device=batch.ids.device)
        kl = None if reference is None else zeros
        return TokenStatistics(zeros, zeros if collision else None, kl, kl)
    return _joined(batch, tokens, found)


@torch.no_grad()
def predictions(
    model: PreTrainedModel, batch: Batch, *, layout: Layout, logit_rule: LogitRule | None
) -> LazyLogits | Tensor:
    """(token, vocab) what a frozen model predicts, for another model's `score` of the same batch.

    In full only where the model makes its logits itself. Arbitrary where a token is not trained.
    """
    rule = _usable(model, logit_rule)
    if rule is not None:
        return lazy_logits(model, _final_states(model, batch, layout), rule)
    width = cast(Any, model.config.get_text_config()).vocab_size
    return _collected(batch, layout, lambda part: own_logits(model, part), width)


@torch.no_grad()
def states_and_predictions(
    model: PreTrainedModel, batch: Batch, *, layout: Layout, logit_rule: LogitRule | None
) -> tuple[Tensor, LazyLogits | Tensor]:
    """(token, hidden) the final hidden states behind the tokens, and `predictions`.

    One forward; a second one where the model makes its logits itself. The states are 0 where a
    token is not trained.
    """
    hidden = _final_states(model, batch, layout)
    rule = _usable(model, logit_rule)
    if rule is not None:
        return hidden, lazy_logits(model, hidden, rule)
    return hidden, predictions(model, batch, layout=layout, logit_rule=None)


def fused_log_probs(
    model: PreTrainedModel, part: Inputs, targets: Tensor, rule: LogitRule
) -> Tensor:
    """(trained,) from the backbone's hidden states and the output layer's weight."""
    return token_statistics(lazy_logits(model, predictors(model, part), rule), targets).log_probs


def lazy_logits(model: PreTrainedModel, hidden: Tensor, rule: LogitRule) -> LazyLogits:
    """(token, vocab) what the model's output layer makes of final hidden states."""
    layer = output_layer(model)
    assert layer is not None, "the fused head needs a plain linear output layer"
    return LazyLogits(hidden, layer.weight, layer.bias, rule.softcap, rule.scale)


def predictors(model: PreTrainedModel, part: Inputs) -> Tensor:
    """(trained, hidden) the final hidden states that predict trained tokens."""
    hidden = cast(Tensor, backbone(model)(**part.model, use_cache=False)[0])
    return hidden[part.row, part.column]


def own_logits(model: PreTrainedModel, part: Inputs) -> Tensor:
    """(trained, vocab) the model's logits, made only for the columns asked for where it can."""
    if not takes(model, "logits_to_keep"):
        return model(**part.model, use_cache=False).logits[part.row, part.column]
    columns = cast(Tensor, part.column.unique())
    place = torch.searchsorted(columns, part.column)
    kept = model(**part.model, use_cache=False, logits_to_keep=columns).logits
    return kept[part.row, place]


def _final_states(model: PreTrainedModel, batch: Batch, layout: Layout) -> Tensor:
    width = cast(Any, model.config.get_text_config()).hidden_size
    return _collected(batch, layout, lambda part: predictors(model, part), width)


def _collected(
    batch: Batch, layout: Layout, take: Callable[[Inputs], Tensor], width: int
) -> Tensor:
    """(token, width) what is taken from each forward, in the order of the tokens."""
    rows: list[Tensor] = []
    tokens: list[Tensor] = []
    with _attending(layout):
        for part in _inputs(batch, layout):
            rows.append(take(part))
            tokens.append(part.tokens)
    if not rows:  # nothing to train, and so no row to run
        rows, tokens = [torch.zeros(0, width, device=batch.ids.device)], [batch.ids[:0]]
    return _in_order(batch, tokens, rows)


def _inputs(batch: Batch, layout: Layout) -> Iterator[Inputs]:
    return packed_inputs(batch) if layout == "packed" else padded_inputs(batch)


def _attending(layout: Layout) -> AbstractContextManager[object]:
    return packed_forward() if layout == "packed" else nullcontext()


def _usable(model: PreTrainedModel, rule: LogitRule | None) -> LogitRule | None:
    """The rule, unless adapters have replaced the output layer since it was found."""
    return None if output_layer(model) is None else rule


def _joined(
    batch: Batch, tokens: Sequence[Tensor], found: Sequence[TokenStatistics]
) -> TokenStatistics:
    def join(values: Iterable[Tensor | None]) -> Tensor | None:
        known = [value for value in values if value is not None]
        return _in_order(batch, tokens, known) if known else None

    return TokenStatistics(
        log_probs=_in_order(batch, tokens, [one.log_probs for one in found]),
        collision=join(one.collision for one in found),
        kl=join(one.kl for one in found),
        reference=join(one.reference for one in found),
    )


def _in_order(batch: Batch, tokens: Sequence[Tensor], rows: Sequence[Tensor]) -> Tensor:
    """(token, ...) the parts' rows in the places of their tokens, 0 elsewhere."""
    values = torch.cat(list(rows))
    zeros = values.new_zeros(len(batch.mask), *values.shape[1:])
    return zeros.index_copy(0, torch.cat(list(tokens)), values)
