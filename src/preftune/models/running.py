"""Sums over a vocabulary whose blocks pass one by one: each is seen once, none is kept."""

import torch
from torch import Tensor

from preftune.models.vocabulary import VocabBlock


class LogTotal:
    """One model's running log-sum-exp, and the logits of the targets seen so far."""

    def __init__(self, targets: Tensor, dtype: torch.dtype) -> None:
        self.targets = targets
        self.log_total = torch.full(targets.shape, -torch.inf, dtype=dtype, device=targets.device)
        self.picked = torch.zeros_like(self.log_total)

    def add(self, rows: slice, block: VocabBlock, logits: Tensor) -> None:
        """Count a block in."""
        total = torch.logaddexp(self.log_total[rows], logits.logsumexp(1))
        self.log_total[rows] = total
        inside, column = block.find(self.targets[rows])
        found = logits.gather(1, column).squeeze(1)
        self.picked[rows] = torch.where(inside, found, self.picked[rows])

    @property
    def log_probs(self) -> Tensor:
        """(token,) log p(target), once all blocks have passed."""
        return self.picked - self.log_total


class RunningSums:
    """All that one pass adds up: log-probs always, the rest where it is asked for."""

    def __init__(
        self, targets: Tensor, dtype: torch.dtype, *, collision: bool, divergence: bool
    ) -> None:
        self.policy = LogTotal(targets, dtype)
        self._collision = _Collision(self.policy) if collision else None
        self._divergence = _Divergence(self.policy) if divergence else None

    def add(self, rows: slice, block: VocabBlock, frozen: VocabBlock | None) -> None:
        """Count a block of the policy in, and with a divergence the same of the reference."""
        logits = block.logits(rows)
        self.policy.add(rows, block, logits)
        if self._collision is not None:
            self._collision.add(rows, logits)
        if self._divergence is not None and frozen is not None:
            self._divergence.add(rows, frozen, logits)

    @property
    def reference_log_total(self) -> Tensor | None:
        """(token,) log-sum-exp of the reference's logits."""
        return None if self._divergence is None else self._divergence.reference.log_total

    @property
    def results(self) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
        """Log-probs, collision, KL and the reference's log-probs, once all blocks have passed."""
        collision = None if self._collision is None else self._collision.log
        divergence = self._divergence
        if divergence is None:
            return self.policy.log_probs, collision, None, None
        return self.policy.log_probs, collision, divergence.kl, divergence.reference.log_probs


class _Collision:
    """Running sum of p^2, where p is the softmax over the blocks seen so far."""

    def __init__(self, policy: LogTotal) -> None:
        self._policy = policy
        self._sum = _RescaledSum(policy.log_total)

    def add(self, rows: slice, logits: Tensor) -> None:
        """Count a block in, after the policy's total."""
        scale = 2 * self._policy.log_total[rows]
        squares = torch.add(-scale[:, None], logits, alpha=2).exp_()
        self._sum.add(rows, scale, squares.sum(1))

    @property
    def log(self) -> Tensor:
        """(token,) log sum_v p_v^2, once all blocks have passed."""
        # Never log 0: the squares of V shares sum to at least 1 / V.
        return self._sum.value.log()


class _Divergence:
    """Running mean of policy logit - reference logit under the reference's softmax."""

    def __init__(self, policy: LogTotal) -> None:
        self._policy = policy
        self.reference = LogTotal(policy.targets, policy.log_total.dtype)
        self._sum = _RescaledSum(policy.log_total)

    def add(self, rows: slice, block: VocabBlock, logits: Tensor) -> None:
        """Count a block of the reference in; `logits` are the policy's, and used up."""
        frozen = block.logits(rows).to(logits.dtype)
        self.reference.add(rows, block, frozen)
        apart = logits.sub_(frozen)
        scale = self.reference.log_total[rows]
        share = frozen.sub_(scale[:, None]).exp_()
        self._sum.add(rows, scale, apart.mul_(share).sum(1))

    @property
    def kl(self) -> Tensor:
        """(token,) sum_v ref_v (log ref_v - log p_v), once all blocks have passed.

        For one and the same model all terms are equal and the result is exactly 0.
        """
        return self._policy.log_total - self.reference.log_total - self._sum.value


class _RescaledSum:
    """(token,) a running sum of f e^(x - scale), where the scale grows with the blocks seen."""

    def __init__(self, like: Tensor) -> None:
        self.value = torch.zeros_like(like)
        self._scale = torch.full_like(like, -torch.inf)

    def add(self, rows: slice, scale: Tensor, part: Tensor) -> None:
        """Add a block's sum under a new scale."""
        shrink = (self._scale[rows] - scale).exp_()
        self.value[rows] = self.value[rows].mul_(shrink).add_(part)
        self._scale[rows] = scale
