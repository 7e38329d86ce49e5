"""What the metric log says about a batch, as sums that add up over micro-batches and processes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from preftune.objectives.logprobs import LogProbs

Figures = Literal["pairs", "thumbs", "responses"]

Reward = Callable[[LogProbs], Tensor]
"""(response,) the implicit reward that an objective compares."""

ROUNDING = 16
"""Units in the last place of the log-probs within which two rewards count as equal: a tie. The same
tokens scored in another micro-batch differ by a few."""


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """Sums of statistics and what to divide each by, kept on the device until they are logged.

    Add those of all micro-batches, sum `sums` and `counts` over processes, then take `means`.
    """

    names: tuple[str, ...]
    sums: Tensor
    """(name,) float64."""
    counts: Tensor
    """(name,) float64: pairs or responses."""

    def __add__(self, other: "Measures") -> "Measures":
        if self.names != other.names:
            raise ValueError(f"Measures of different kinds: {self.names} and {other.names}.")
        return Measures(self.names, self.sums + other.sums, self.counts + other.counts)

    def times(self, factor: int) -> "Measures":
        """Each sum and count so many times."""
        return Measures(self.names, self.sums * factor, self.counts * factor)

    def means(self) -> dict[str, float]:
        """The mean of each, left out where nothing was counted. One transfer from the device."""
        sums, counts = torch.stack([self.sums, self.counts]).cpu().numpy()
        rows = zip(self.names, sums, counts, strict=True)
        return {name: float(total / count) for name, total, count in rows if count}


def measures(
    logps: LogProbs, reward: Reward | None = None, figures: Figures | None = None
) -> Measures:
    """Statistics of a batch, without gradient.

    Of every record, in nats, over the responses to their own prompt:
        logps: log-prob of a response; split by side where the record has relations or thumbs.

    Of a record with relations (ties and mismatched responses do not count), over pairs:
        logps_chosen, logps_rejected: log-prob of a response, nats.
        accuracy: the winner's reward is larger; a tie (equal but for rounding), as at the start,
            counts one half. Without `reward` and with a reference, of the log-ratios.
        rewards_chosen, rewards_rejected: the objective's implicit reward; only with `reward`.

    Of a record with relations and a reference, over pairs:
        margin: h, nats, whatever the objective compares.
        displacement: the chosen log-prob lies below the reference's.

    Of a record with thumbs:
        logps_good, logps_bad, rewards_good, rewards_bad: over the responses of each kind.

    Of a record with a reference, over responses:
        kl: 1/2 sum_t (log-ratio of token t)^2, nats (Schulman's k2). It estimates
            KL(policy || reference) when the responses are samples of the policy. Here they are
            the data's, so it says how far the policy has moved on them: 0 at the start, never
            negative, and no substitute for the KL that the evaluation measures by sampling.

    Args:
        logps: Record.
        reward: (response,) implicit rewards of a record under the objective.
        figures: Which of these; by default what the record holds. Records that are added up must
            name them: a micro-batch may hold no judgement by chance.

    Example:
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> pair = LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no)
        >>> measures(pair).means()["accuracy"]
        0.5
    """
    logps = logps.detach()
    own = None if logps.mismatched is None else ~logps.mismatched
    found: list[Statistic] = []
    match figures or _held(logps):
        case "pairs":
            found += _of_pairs(logps, reward)
        case "thumbs":
            found += _of_thumbs(logps, reward)
        case "responses":
            found.append(("logps", logps.sums, own))
    if logps.reference is not None:
        found.append(("kl", _squared_log_ratios(logps, logps.reference), own))
    return _measures(found)


def pair_values(logps: LogProbs, reward: Reward | None = None) -> dict[str, Tensor]:
    """What `measures` averages over pairs, one value for each: (relation,), ties left out.

    Args:
        logps: Record with relations.
        reward: As of `measures`.

    Example:
        >>> yes, no, before = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])], [torch.ones(1)]
        >>> pair = LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=before)
        >>> pair_values(pair)["margin"].tolist()
        [5.0]
    """
    judged = slice(None) if logps.tie is None else ~logps.tie
    return {name: values[judged] for name, values, _ in _of_pairs(logps.detach(), reward)}


Statistic = tuple[str, Tensor, Tensor | None]
"""Name, values, and which of them count (all where none)."""


def _measures(found: Sequence[Statistic]) -> Measures:
    sums: list[Tensor] = []
    counts: list[Tensor] = []
    for _, values, counted in found:
        wide = values.to(torch.float64)
        sums.append((wide if counted is None else torch.where(counted, wide, 0.0)).sum())
        counts.append(
            wide.new_full((), len(wide)) if counted is None else counted.sum(dtype=torch.float64)
        )
    return Measures(tuple(name for name, _, _ in found), torch.stack(sums), torch.stack(counts))


def _of_pairs(logps: LogProbs, reward: Reward | None) -> list[Statistic]:
    sums = logps.sums
    judged = None if logps.tie is None else ~logps.tie
    winner, loser = logps.winner, logps.loser
    found: list[Statistic] = [
        ("logps_chosen", sums[winner], judged),
        ("logps_rejected", sums[loser], judged),
    ]
    if logps.reference is not None:
        rounding = ROUNDING * torch.finfo(sums.dtype).eps * sums.abs()
        fallen = logps.log_ratios < -rounding
        found.append(("margin", logps.margins, judged))
        found.append(("displacement", fallen[winner], judged))
        reward = reward or _log_ratio
    if reward is not None:
        values, noise = _with_rounding(logps, reward)
        gap, doubt = logps.difference(values), noise[winner] + noise[loser]
        accuracy = ((gap > doubt).to(sums) - (gap < -doubt).to(sums) + 1) / 2
        found.append(("accuracy", accuracy, judged))
        if reward is not _log_ratio:
            found.append(("rewards_chosen", values[winner], judged))
            found.append(("rewards_rejected", values[loser], judged))
    return found


def _with_rounding(logps: LogProbs, reward: Reward) -> tuple[Tensor, Tensor]:
    """(response,) rewards, and by how much rounding of the log-probs may have moved each."""
    tokens = logps.tokens.detach().requires_grad_()
    with torch.enable_grad():
        values = reward(replace(logps, tokens=tokens))
        (slope,) = torch.autograd.grad(values.sum(), tokens)
    eps = torch.finfo(tokens.dtype).eps
    return values.detach(), ROUNDING * eps * logps.add_up((slope * tokens.detach()).abs())


def _log_ratio(logps: LogProbs) -> Tensor:
    return logps.log_ratios


def _held(logps: LogProbs) -> Figures:
    if logps.winner.shape[0] > 0:
        return "pairs"
    return "responses" if logps.good is None else "thumbs"


def _of_thumbs(logps: LogProbs, reward: Reward | None) -> list[Statistic]:
    good = torch.zeros_like(logps.sums) if logps.good is None else logps.good
    found: list[Statistic] = []
    for name, counted in (("good", good > 0), ("bad", good < 0)):
        found.append((f"logps_{name}", logps.sums, counted))
        if reward is not None:
            found.append((f"rewards_{name}", reward(logps), counted))
    return found


def _squared_log_ratios(logps: LogProbs, reference: Tensor) -> Tensor:
    """(response,) 1/2 sum over trained tokens of the squared log-ratio."""
    squares = (logps.tokens - reference).square() / 2 * logps.mask
    return squares.new_zeros(logps.group.shape[0]).index_add(0, logps.response, squares)
