"""The seam: what every way of running the model returns and every objective starts from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class LogProbs:
    """Token-level log-probabilities of the responses in a batch, in nats, float32 (or float64).

    Shapes: `token` counts all response tokens of the batch, `response` its responses, `group` its
    groups, `relation` its judgements. Sums, means and margins are views of the tokens.
    """

    tokens: Tensor
    """(token,) log p(token | before) under the policy; 0 where `mask` is false: not computed."""
    mask: Tensor
    """(token,) bool, from the data: true where a token is trained. |y| counts it."""
    response: Tensor
    """(token,) int64: which response a token belongs to, ascending."""
    group: Tensor
    """(response,) int64: which group a response belongs to, ascending."""
    winner: Tensor
    """(relation,) int64: index of the preferred response."""
    loser: Tensor
    """(relation,) int64: index of the other."""
    strength: Tensor
    """(relation,) float: probability that `winner` is better, in (0.5, 1]."""
    reference: Tensor | None = None
    """(token,) the same under the frozen reference; none for objectives without one."""

    @property
    def sums(self) -> Tensor:
        """(response,) log p(y | x) = sum over trained tokens, nats."""
        return self._sum(self.tokens)

    @property
    def reference_sums(self) -> Tensor:
        """(response,) the same under the reference. `ValueError` where there is none."""
        if self.reference is None:
            raise ValueError("These log-probs carry no reference: use `with_reference` first.")
        return self._sum(self.reference)

    @property
    def lengths(self) -> Tensor:
        """(response,) |y|: number of trained tokens."""
        return self._sum(torch.ones_like(self.tokens))

    @property
    def log_ratios(self) -> Tensor:
        """(response,) log-ratio = log p policy - log p reference, nats."""
        return self.sums - self.reference_sums

    @property
    def margins(self) -> Tensor:
        """(relation,) h = log-ratio of the winner - log-ratio of the loser, nats."""
        ratios = self.log_ratios
        return ratios[self.winner] - ratios[self.loser]

    def with_reference(self, reference: "LogProbs | Tensor") -> "LogProbs":
        """The same record with the reference's log-probs of the same tokens, detached.

        Raises:
            ValueError: the shapes differ, so these are not the same tokens.
        """
        tokens = reference.tokens if isinstance(reference, LogProbs) else reference
        if tokens.shape != self.tokens.shape:
            raise ValueError(
                f"The reference has {tuple(tokens.shape)} tokens, the policy "
                f"{tuple(self.tokens.shape)}: score the same batch with both."
            )
        return replace(self, reference=tokens.detach())

    def detach(self) -> "LogProbs":
        """The same record without gradient."""
        return replace(self, tokens=self.tokens.detach())

    def _sum(self, tokens: Tensor) -> Tensor:
        zeros = tokens.new_zeros(self.group.shape[0])
        return zeros.index_add(0, self.response, tokens * self.mask)

    @staticmethod
    def of_pairs(
        chosen: Sequence[Tensor],
        rejected: Sequence[Tensor],
        *,
        reference_chosen: Sequence[Tensor] | None = None,
        reference_rejected: Sequence[Tensor] | None = None,
    ) -> "LogProbs":
        """A record from per-token log-probs of pairs: one (length,) tensor for each response.

        For losses alone, in anyone's own loop.

        Example:
            >>> pair = LogProbs.of_pairs([torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])])
            >>> pair.sums
            tensor([-3., -4.])
        """
        responses = [side for pair in zip(chosen, rejected, strict=True) for side in pair]
        counts = torch.tensor([len(response) for response in responses])
        tokens = torch.cat(responses)
        pairs = torch.arange(len(chosen))
        reference = None
        if reference_chosen is not None and reference_rejected is not None:
            sides = zip(reference_chosen, reference_rejected, strict=True)
            reference = torch.cat([side for pair in sides for side in pair]).detach()
        return LogProbs(
            tokens=tokens,
            mask=torch.ones_like(tokens, dtype=torch.bool),
            response=torch.arange(len(responses)).repeat_interleave(counts),
            group=pairs.repeat_interleave(2),
            winner=2 * pairs,
            loser=2 * pairs + 1,
            strength=torch.ones(len(chosen), dtype=tokens.dtype),
            reference=reference,
        )
