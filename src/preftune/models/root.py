"""The root module: the only caller of backbone and output layer."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from preftune.batching import Batch, pack
from preftune.models.architecture import unwrap
from preftune.models.route import route_of
from preftune.models.scoring import Layout, predictions, score, states_and_predictions
from preftune.models.states import Diagnosis, diagnose
from preftune.models.vocabulary import LazyLogits
from preftune.objectives import LogProbs
from preftune.records import TokenGroup


class LogProbModel(nn.Module):
    """A causal language model that answers a batch with the log-probs of its responses.

    Args:
        model: Any causal language model of transformers, or one with peft adapters. Its attention
            implementation is set to the packed one where that gives the same log-probs; plain
            forwards and `generate` go on working.

    Raises:
        ConfigError: it is not a causal language model (PT404).
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.route = route_of(unwrap(model))

    @property
    def layout(self) -> Layout:
        """`packed`, or `padded` for models whose attention can't be replaced."""
        return self.route.layout

    @property
    def layout_reason(self) -> str:
        """Why this layout: a sentence to say aloud."""
        return self.route.layout_reason

    @property
    def device(self) -> torch.device:
        """Where batches must be."""
        return unwrap(self.model).device

    @property
    def log_prob_dtype(self) -> torch.dtype:
        """Of the log-probs: float32, or float64 where the weights are."""
        return torch.float64 if unwrap(self.model).dtype == torch.float64 else torch.float32

    def forward(
        self,
        batch: Batch,
        *,
        collision: bool = False,
        reference: "LogProbModel | None" = None,
        kl: bool = False,
    ) -> LogProbs:
        """The batch's log-probs, differentiable; 0 for tokens that are not trained.

        Args:
            batch: What to score.
            collision: Also `.collision`: log sum_v p_v^2, without gradient.
            reference: A frozen model that scores the same batch in its own layout, without
                gradient: `.reference`.
            kl: Also `.kl`, of the reference's whole distribution from this model's,
                differentiable in this model.

        Raises:
            ValueError: a KL without a reference, or with one of another vocabulary.
        """
        if kl and reference is None:
            raise ValueError("A KL needs a reference: pass `reference`, the model it is taken to.")
        # First, so that what it needs is freed before this model's activations pile up.
        frozen = reference.predictions(batch) if kl and reference is not None else None
        alone = None
        if reference is not None and not kl:
            with torch.no_grad():
                alone = cast(LogProbs, reference(batch)).tokens
        found = score(
            unwrap(self.model),
            batch,
            layout=self.layout,
            logit_rule=self.route.logit_rule,
            collision=collision,
            reference=frozen,
        )
        return LogProbs(
            tokens=found.log_probs,
            mask=batch.mask,
            response=batch.response,
            group=batch.group,
            collision=found.collision,
            kl=found.kl,
            reference=found.reference if alone is None else alone.to(found.log_probs),
            **batch.judgements,
        )

    def predictions(self, batch: Batch) -> LazyLogits | Tensor:
        """(token, vocab) logits without gradient, for the KL of another model to this one."""
        model = unwrap(self.model)
        return predictions(model, batch, layout=self.layout, logit_rule=self.route.logit_rule)

    def diagnose(self, batch: Batch) -> Diagnosis:
        """What a frozen model makes of a batch: log-probs, entropies, hidden states summed.

        Without gradient, in one forward where the model's logits can be made from its states.
        """
        hidden, logits = states_and_predictions(
            unwrap(self.model), batch, layout=self.layout, logit_rule=self.route.logit_rule
        )
        return diagnose(hidden, logits, batch)


def logps(model: nn.Module, groups: Sequence[TokenGroup]) -> LogProbs:
    """Log-probs of the groups' responses, differentiable: for anyone's own loop.

    Args:
        model: A causal language model of transformers, or a `LogProbModel`.
        groups: What to score, in one batch.

    Returns:
        Token-level log-probs; `.sums` has one value for each response.
    """
    root = model if isinstance(model, LogProbModel) else LogProbModel(model)
    return cast(LogProbs, root(pack(groups).to(root.device)))
