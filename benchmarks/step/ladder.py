"""The ladder: from what trainers commonly do to preftune's step, one technique at a time.

The lower rungs are written here, for the product has no use for them. They take preftune's own
place in its step: same pairs, objective, update.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from benchmarks.step.contestant import PREFTUNE, Contestant
from preftune.batching import Batch, pack
from preftune.models import LogProbModel
from preftune.models.architecture import output_layer, unwrap
from preftune.models.head import log_probs_of_logits
from preftune.models.scoring import Inputs, fused_log_probs, predictors
from preftune.objectives import LogProbs
from preftune.records import TokenGroup, TokenResponse

PADDED = ("padded", "responses", "fused")
SIXTEEN = {"weights": "bfloat16"}
WIDE = {"weights": "float32"}


def ladder(dtype: str) -> list[Contestant]:
    """All rungs, the lowest first; those with 16-bit weights only where matmuls are in 16 bits."""
    rungs = [
        _rung("padded, full logits, live reference", "padded"),
        _rung("+ head on response tokens only", "responses"),
        _rung("+ log-probs fused with the head", "fused"),
        _rung("+ packed, no padding", "packed"),
        _rung("+ shared prompts", "shared"),
        Contestant("+ cached reference", "preftune", WIDE),
    ]
    last = WIDE
    if dtype == "bfloat16":
        last = SIXTEEN
        rungs.append(Contestant("+ bf16 weights", "preftune", last))
    return [
        *rungs,
        Contestant("+ compiled layers", "preftune", {**last, "compile_layers": True}),
        Contestant(
            "activation checkpointing, not compiled",
            "preftune",
            {**last, "checkpoint_activations": True},
        ),
    ]


def _rung(name: str, rung: str) -> Contestant:
    return Contestant(name, "rung", {**PREFTUNE.settings, **WIDE}, rung=rung)


def climb(rung: str, policy: LogProbModel) -> tuple[LogProbModel, LogProbModel]:
    """The policy on a rung, and a live reference beside it."""
    frozen = deepcopy(policy.model).requires_grad_(False)
    return Rung(policy.model, rung), Rung(frozen, rung)


class Rung(LogProbModel):
    """A model whose log-probs are got in a slower way."""

    def __init__(self, model: torch.nn.Module, rung: str) -> None:
        super().__init__(model)
        self.rung = rung
        if rung in PADDED:
            unwrap(model).set_attn_implementation("sdpa")

    def forward(self, batch: Batch, *, reference: Any = None, **_: Any) -> LogProbs:
        frozen = None
        if reference is not None:
            with torch.no_grad():
                frozen = reference(batch).tokens
        return LogProbs(
            tokens=self._log_probs(batch),
            mask=batch.mask,
            response=batch.response,
            group=batch.group,
            reference=frozen,
            **batch.judgements,
        )

    def _log_probs(self, batch: Batch) -> Tensor:
        if self.rung == "shared":
            return super().forward(batch).tokens
        if self.rung == "packed":
            return super().forward(pack(rows_of(batch)).to(self.device)).tokens
        model, part = unwrap(self.model), padded_as_one(batch)
        if self.rung == "fused":
            rule = self.route.logit_rule
            assert rule is not None
            return fused_log_probs(model, part, batch.targets, rule)
        if self.rung == "responses":
            head = cast(torch.nn.Module, output_layer(model))
            return log_probs_of_logits(head(predictors(model, part)), batch.targets)
        logits = model(**part.model, use_cache=False).logits
        totals = logits.float().logsumexp(2)[part.row, part.column]
        return logits[part.row, part.column, batch.targets].float() - totals


def rows_of(batch: Batch) -> list[TokenGroup]:
    """Each response with its prompt as a group of its own: the same tokens in the same order."""
    ids = batch.ids.numpy(force=True).astype(np.int32)
    rows: list[TokenGroup] = []
    for segment in batch.segments:
        for response in segment.responses:
            own = ids[slice(*response)]
            side = TokenResponse(own, np.ones(len(own), bool))
            rows.append(TokenGroup(ids[slice(*segment.prompt)], (side,)))
    return rows


def padded_as_one(batch: Batch) -> Inputs:
    """All responses as rows of one padded batch, as TRL's collator makes it: chosen first."""
    rows = rows_of(batch)
    whole = [_tensor([*row.prompt_ids, *row.responses[0].ids], batch) for row in rows]
    column = [np.arange(len(r.responses[0].ids)) + len(r.prompt_ids) - 1 for r in rows]
    number = np.repeat(np.arange(len(rows)), [len(places) for places in column])
    model = {
        "input_ids": pad_sequence(whole, batch_first=True),
        "attention_mask": pad_sequence([torch.ones_like(row) for row in whole], batch_first=True),
    }
    tokens = torch.arange(len(batch.targets), device=batch.ids.device)
    return Inputs(model, _tensor(number, batch), _tensor(np.concatenate(column), batch), tokens)


def _tensor(values: Sequence[int] | np.ndarray, batch: Batch) -> Tensor:
    return torch.as_tensor(np.asarray(values, np.int64), device=batch.ids.device)
