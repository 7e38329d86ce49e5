"""The seam: what every way of running the model returns and every objective starts from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class LogProbs:
    """Token-level log-probabilities of the responses in a batch, in nats, float32 (or float64).

    Shapes: `token` counts all response tokens of the batch, `response` its responses, `group` its
    groups, `relation` its judgements. Sums, means and margins are views of the tokens.

    What the data does not hold is none, and so is what no objective of the run asked for.
    """

    tokens: Tensor
    """(token,) log p(token | before) under the policy; 0 where `mask` is false: not computed."""
    mask: Tensor
    """(token,) bool, from the data: true where a token is trained. |y| counts it."""
    response: Tensor
    """(token,) int64: which response a token belongs to, ascending."""
    group: Tensor
    """(response,) int64: which group a response belongs to, ascending."""
    members: Tensor
    """(group, K) int64: the responses of each group, in order; -1 where it has fewer than K."""
    winner: Tensor
    """(relation,) int64: index of the preferred response."""
    loser: Tensor
    """(relation,) int64: index of the other."""
    strength: Tensor | None = None
    """(relation,) float: probability that `winner` is better, in (0.5, 1]; none: always 1."""
    weight: Tensor | None = None
    """(relation,) float: what a judgement counts, > 0; none: always 1."""
    group_weight: Tensor | None = None
    """(group,) float: what a group counts, > 0; none: always 1. It is in `weight` already."""
    margin: Tensor | None = None
    """(relation,) float: how much better the winner was judged, in the judge's units."""
    tie: Tensor | None = None
    """(relation,) bool: judged equally good; none: no relation is a tie."""
    good: Tensor | None = None
    """(response,) float: thumbs, 1 for up, -1 for down, 0 where nobody gave one."""
    score: Tensor | None = None
    """(response,) float: the judge's rating, NaN where there is none."""
    rank: Tensor | None = None
    """(response,) int64: place in its group's ranking, 0 the best, equal where tied; -1: none."""
    preferred: Tensor | None = None
    """(response,) bool: stands as a good example (SFT); none: all do."""
    mismatched: Tensor | None = None
    """(response,) bool: answers another prompt; in no relation, never trained (KTO)."""
    reference: Tensor | None = None
    """(token,) the log-probs under the frozen reference; none for objectives without one."""
    collision: Tensor | None = None
    """(token,) log sum_v p(v | before)^2 under the policy, without gradient (WPO)."""
    kl: Tensor | None = None
    """(token,) KL(reference(. | before) || policy(. | before)), differentiable (TDPO)."""

    @property
    def sums(self) -> Tensor:
        """(response,) log p(y | x) = sum over trained tokens, nats."""
        return self.add_up(self.tokens)

    @property
    def means(self) -> Tensor:
        """(response,) log p(y | x) / |y|, nats per token."""
        return self.sums / self.lengths

    @property
    def reference_sums(self) -> Tensor:
        """(response,) the sums under the reference. `ValueError` where there is none."""
        return self.add_up(self._reference)

    @property
    def lengths(self) -> Tensor:
        """(response,) |y|: number of trained tokens."""
        return self.add_up(torch.ones_like(self.tokens))

    @property
    def log_ratios(self) -> Tensor:
        """(response,) log-ratio = log p policy - log p reference, nats."""
        return self.sums - self.reference_sums

    @property
    def mean_log_ratios(self) -> Tensor:
        """(response,) log-ratio / |y|, nats per token."""
        return self.log_ratios / self.lengths

    @property
    def margins(self) -> Tensor:
        """(relation,) h = log-ratio of the winner - log-ratio of the loser, nats."""
        return self.difference(self.log_ratios)

    def difference(self, values: Tensor) -> Tensor:
        """(relation,) a response's value: the winner's minus the loser's."""
        return values[self.winner] - values[self.loser]

    def add_up(self, tokens: Tensor) -> Tensor:
        """(response,) sum over the trained tokens of any (token,) value."""
        zeros = tokens.new_zeros(self.group.shape[0])
        return zeros.index_add(0, self.response, tokens * self.mask)

    def in_groups(self, values: Tensor, missing: float) -> Tensor:
        """(group, K) a response's value in the places of `members`, `missing` where it has none."""
        return torch.where(self.members >= 0, values[self.members.clamp(min=0)], missing)

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
        kl = None if self.kl is None else self.kl.detach()
        return replace(self, tokens=self.tokens.detach(), kl=kl)

    def swapped(self) -> "LogProbs":
        """The same record with every relation the other way round."""
        margin = None if self.margin is None else -self.margin
        return replace(self, winner=self.loser, loser=self.winner, margin=margin)

    @property
    def _reference(self) -> Tensor:
        if self.reference is None:
            raise ValueError("These log-probs carry no reference: use `with_reference` first.")
        return self.reference

    @staticmethod
    def of_groups(
        groups: Sequence[Sequence[Tensor]],
        *,
        reference: Sequence[Sequence[Tensor]] | None = None,
        relations: Sequence[tuple[int, int]] = (),
    ) -> "LogProbs":
        """A record from per-token log-probs: for each group one (length,) tensor a response.

        For losses alone, in anyone's own loop. Ratings, margins and the like are set with
        `dataclasses.replace`.

        Args:
            groups: The policy's log-probs.
            reference: The reference's, of the same lengths.
            relations: (winner, loser), counted over all responses of the batch.

        Raises:
            ValueError: a tensor is not (length,), the reference's responses are not as long as the
                policy's, or a relation names a response that is not there.

        Example:
            >>> three = [torch.tensor([-1.0]), torch.tensor([-2.0, -0.5]), torch.tensor([-4.0])]
            >>> LogProbs.of_groups([three], relations=[(0, 2)]).sums
            tensor([-1.0000, -2.5000, -4.0000])
        """
        responses = [response for group in groups for response in group]
        _check_built(responses, groups, reference, relations)
        sizes = [len(group) for group in groups]
        tokens = torch.cat(responses)
        device = tokens.device
        lengths = torch.tensor([len(response) for response in responses])
        frozen = None
        if reference is not None:
            frozen = torch.cat([response for group in reference for response in group]).detach()
        pairs = torch.tensor(list(relations), dtype=torch.int64).view(-1, 2)
        preferred = None
        if len(pairs):
            numbers = torch.arange(len(responses))
            preferred = torch.isin(numbers, pairs[:, 0]) & ~torch.isin(numbers, pairs[:, 1])
            preferred = preferred.to(device)
        return LogProbs(
            tokens=tokens,
            mask=torch.ones_like(tokens, dtype=torch.bool),
            response=torch.arange(len(responses)).repeat_interleave(lengths).to(device),
            group=torch.arange(len(groups)).repeat_interleave(torch.tensor(sizes)).to(device),
            members=members_of(sizes).to(device),
            winner=pairs[:, 0].to(device),
            loser=pairs[:, 1].to(device),
            preferred=preferred,
            reference=frozen,
        )

    @staticmethod
    def of_pairs(
        chosen: Sequence[Tensor],
        rejected: Sequence[Tensor],
        *,
        reference_chosen: Sequence[Tensor] | None = None,
        reference_rejected: Sequence[Tensor] | None = None,
    ) -> "LogProbs":
        """A record from per-token log-probs of pairs: one (length,) tensor for each response.

        Example:
            >>> pair = LogProbs.of_pairs([torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])])
            >>> pair.sums
            tensor([-3., -4.])
        """
        reference = None
        if (reference_chosen is None) != (reference_rejected is None):
            raise ValueError("Give the reference of both sides, or of none.")
        if len(chosen) != len(rejected):
            raise ValueError(f"{len(chosen)} chosen responses, {len(rejected)} rejected ones.")
        if reference_chosen is not None and reference_rejected is not None:
            reference = list(zip(reference_chosen, reference_rejected, strict=True))
        return LogProbs.of_groups(
            list(zip(chosen, rejected, strict=True)),
            reference=reference,
            relations=[(2 * pair, 2 * pair + 1) for pair in range(len(chosen))],
        )


def _check_built(
    responses: Sequence[Tensor],
    groups: Sequence[Sequence[Tensor]],
    reference: Sequence[Sequence[Tensor]] | None,
    relations: Sequence[tuple[int, int]],
) -> None:
    """Tokens of one response beside those of another would give a loss, and a wrong one."""
    flat = next((one for one in responses if one.ndim != 1), None)
    if flat is not None:
        raise ValueError(f"A response is a (length,) tensor, got {tuple(flat.shape)}.")
    if reference is not None:
        own = [[len(one) for one in group] for group in groups]
        theirs = [[len(one) for one in group] for group in reference]
        if own != theirs:
            raise ValueError(
                f"The responses of each group have {own} tokens, the reference's {theirs}: score "
                "the same tokens with both, in the same order."
            )
    outside = [pair for pair in relations if not all(0 <= one < len(responses) for one in pair)]
    if outside:
        raise ValueError(f"Relation {outside[0]} names none of the {len(responses)} responses.")


def members_of(sizes: Sequence[int], gaps: Sequence[int] | None = None) -> Tensor:
    """(group, K) `LogProbs.members` of groups with so many responses each.

    Args:
        sizes: Number of members of each group.
        gaps: Number of further responses after each group's members.

    >>> members_of([2, 3]).tolist()
    [[0, 1, -1], [2, 3, 4]]
    """
    table = torch.full((len(sizes), max(sizes, default=0)), -1, dtype=torch.int64)
    first = 0
    for row, size, gap in zip(table, sizes, gaps or [0] * len(sizes), strict=True):
        row[:size] = torch.arange(first, first + size)
        first += size + gap
    return table


def in_expectation(loss: Callable[[LogProbs], Tensor], logps: LogProbs) -> Tensor:
    """(relation,) a pair loss under doubt: p loss(winner, loser) + (1 - p) loss(loser, winner).

    p is the relation's strength. Where the judge gave no doubt the loss is computed once.

    Args:
        loss: One value for each relation, taking `winner` to be better for sure.
        logps: The record.
    """
    first = loss(logps)
    if logps.strength is None:
        return first
    return logps.strength * first + (1 - logps.strength) * loss(logps.swapped())
