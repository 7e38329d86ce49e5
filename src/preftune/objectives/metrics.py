"""What the metric log says about a batch, as sums that add up over micro-batches and processes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from preftune.objectives.logprobs import LogProbs

ROUNDING = 16
"""Units in the last place of a pair's log-probs within which two sums count as equal: a tie. The
same tokens scored in another micro-batch differ by a few."""


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

    def means(self) -> dict[str, float]:
        """The mean of each; NaN where nothing was counted. One transfer from the device."""
        means = (self.sums / self.counts).cpu().numpy()
        return {name: float(mean) for name, mean in zip(self.names, means, strict=True)}


def measures(logps: LogProbs, beta: float | None = None) -> Measures:
    """Statistics of a batch, without gradient.

    Of every record, in nats:
        logps: log-prob of a response.

    Of a record with relations, over pairs:
        logps_chosen, logps_rejected: log-prob of a response, nats.

    Of a record with relations and a reference, over pairs:
        accuracy: h > 0; a tie (equal but for rounding), as at the start, counts one half.
        margin: h, nats (the reward margin is beta h).
        rewards_chosen, rewards_rejected: beta times the log-ratio; only with `beta`.
        displacement: the chosen log-prob lies below the reference's.

    Of a record with a reference, over responses:
        kl: 1/2 sum_t (log-ratio of token t)^2, nats (Schulman's k2). It estimates
            KL(policy || reference) when the responses are samples of the policy. Here they are
            the data's, so it says how far the policy has moved on them: 0 at the start, never
            negative, and no substitute for the KL that the evaluation measures by sampling.

    Args:
        logps: Record.
        beta: The objective's beta, where it has one.

    Example:
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> pair = LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no)
        >>> measures(pair).means()["accuracy"]
        0.5
    """
    logps = logps.detach()
    over_pairs: dict[str, Tensor] = {}
    over_responses = {"logps": logps.sums}
    if logps.reference is not None:
        over_responses["kl"] = _squared_log_ratios(logps, logps.reference)
    if logps.winner.shape[0] > 0:
        over_pairs = _of_pairs(logps, beta)
        del over_responses["logps"]  # told apart by side above
    everything = over_pairs | over_responses
    return Measures(
        names=tuple(everything),
        sums=torch.stack([values.sum(dtype=torch.float64) for values in everything.values()]),
        counts=logps.sums.new_tensor(
            [len(values) for values in everything.values()], dtype=torch.float64
        ),
    )


def _of_pairs(logps: LogProbs, beta: float | None) -> dict[str, Tensor]:
    sums = logps.sums
    statistics = {"logps_chosen": sums[logps.winner], "logps_rejected": sums[logps.loser]}
    if logps.reference is None:
        return statistics
    margin, ratios = logps.margins, logps.log_ratios
    rounding = (
        ROUNDING * torch.finfo(sums.dtype).eps * (sums[logps.winner] + sums[logps.loser]).abs()
    )
    statistics |= {
        "accuracy": ((margin > rounding).to(sums) - (margin < -rounding).to(sums) + 1) / 2,
        "margin": margin,
        "displacement": ratios[logps.winner] < -rounding,
    }
    if beta is not None:
        statistics |= {
            "rewards_chosen": beta * ratios[logps.winner],
            "rewards_rejected": beta * ratios[logps.loser],
        }
    return statistics


def _squared_log_ratios(logps: LogProbs, reference: Tensor) -> Tensor:
    """(response,) 1/2 sum over trained tokens of the squared log-ratio."""
    squares = (logps.tokens - reference).square() / 2 * logps.mask
    return squares.new_zeros(logps.group.shape[0]).index_add(0, logps.response, squares)
