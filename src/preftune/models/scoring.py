"""Running a model over packed or padded rows, and from hidden states to log-probs."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel

from preftune.batching import Batch
from preftune.models.architecture import LogitRule, backbone, output_layer, takes
from preftune.models.attention import Packing, packed_forward
from preftune.models.head import log_probs_of_logits, token_log_probs
from preftune.models.padded import padded_rows

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
    tokens = batch.mask.nonzero().squeeze(1)
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
    model: PreTrainedModel, batch: Batch, *, layout: Layout, logit_rule: LogitRule | None
) -> Tensor:
    """(token,) log p of the batch's response tokens, 0 where not trained.

    Args:
        model: The causal language model.
        batch: What to score.
        layout: How the batch is laid out for the model.
        logit_rule: How logits come from the output layer; none: by the model itself, all of them.
    """
    inputs = packed_inputs(batch) if layout == "packed" else padded_inputs(batch)
    found: list[Tensor] = []
    tokens: list[Tensor] = []
    with packed_forward() if layout == "packed" else nullcontext():
        for part in inputs:
            targets = batch.targets[part.tokens]
            # Adapters may have replaced the output layer since the rule was found.
            if logit_rule is None or output_layer(model) is None:
                logits = own_logits(model, part)
                found.append(log_probs_of_logits(logits, targets))
            else:
                found.append(fused_log_probs(model, part, targets, logit_rule))
            tokens.append(part.tokens)
    if not found:
        return torch.zeros(len(batch.mask), device=batch.ids.device)
    values = torch.cat(found)
    return values.new_zeros(len(batch.mask)).index_copy(0, torch.cat(tokens), values)


def fused_log_probs(
    model: PreTrainedModel, part: Inputs, targets: Tensor, rule: LogitRule
) -> Tensor:
    """(trained,) from the backbone's hidden states and the output layer's weight."""
    layer = output_layer(model)
    assert layer is not None, "the fused head needs a plain linear output layer"
    hidden = hidden_states(model, part)[part.row, part.column]
    return token_log_probs(
        hidden, layer.weight, targets, bias=layer.bias, softcap=rule.softcap, scale=rule.scale
    )


def hidden_states(model: PreTrainedModel, part: Inputs) -> Tensor:
    """(row, column, hidden) final hidden states."""
    return cast(Tensor, backbone(model)(**part.model, use_cache=False)[0])


def own_logits(model: PreTrainedModel, part: Inputs) -> Tensor:
    """(trained, vocab) the model's logits, made only for the columns asked for where it can."""
    if not takes(model, "logits_to_keep"):
        return model(**part.model, use_cache=False).logits[part.row, part.column]
    columns = cast(Tensor, part.column.unique())
    place = torch.searchsorted(columns, part.column)
    kept = model(**part.model, use_cache=False, logits_to_keep=columns).logits
    return kept[part.row, place]
