"""Losses that ask for a certain margin, or a certain log-ratio: its squared distance from there."""

from torch import Tensor

from preftune.objectives.logprobs import LogProbs, in_expectation
from preftune.objectives.losses.logistic import smoothed
from preftune.objectives.settings import BETA, NOT_NEGATIVE, POSITIVE


def ipo_sum(logps: LogProbs, *, tau: float = 0.1) -> Tensor:
    """Squared distance of the margin from 1 / (2 tau) nats (IPO, over whole responses).

    L = (h - 1 / (2 tau))^2

    The wanted margin is finite even where the judge is never in doubt, so the tie to the
    reference does not fade. With a strength p the least loss lies at h = (2 p - 1) / (2 tau).

    Args:
        logps: Record with a reference; `tokens` in float32 or float64.
        tau: Strength of the tie to the reference, > 0, per nat: half of 1 / the wanted margin.

    Returns:
        Loss (relation,), nats squared, unreduced.

    Raises:
        ValueError: `tau` is out of range, or `logps` has no reference.

    References:
        Azar et al. 2023, arXiv:2310.12036, Eq. 17.

    Example:
        >>> import torch
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> ipo_sum(LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no))
        tensor([25.])
    """
    POSITIVE.check("tau", tau)

    def loss(pair: LogProbs) -> Tensor:
        return (pair.margins - 1 / (2 * tau)).square()

    return in_expectation(loss, logps)


def ipo_mean(logps: LogProbs, *, tau: float = 0.1) -> Tensor:
    """Squared distance of the margin per token from 1 / (2 tau) (IPO, per token).

    L = (log-ratio chosen / |chosen| - log-ratio rejected / |rejected| - 1 / (2 tau))^2

    The same as `ipo_sum` but for the unit: tau is per nat per token here, so a value that suits
    the one form does not suit the other.

    Args:
        logps: Record with a reference; `tokens` in float32 or float64.
        tau: Half of 1 / the wanted margin per token, > 0.

    Returns:
        Loss (relation,), (nats per token) squared, unreduced.

    Raises:
        ValueError: `tau` is out of range, or `logps` has no reference.

    References:
        Azar et al. 2023, arXiv:2310.12036, Eq. 17, with mean log-ratios.

    Example:
        >>> import torch
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> ipo_mean(LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no))
        tensor([25.])
    """
    POSITIVE.check("tau", tau)

    def loss(pair: LogProbs) -> Tensor:
        return (pair.difference(pair.mean_log_ratios) - 1 / (2 * tau)).square()

    return in_expectation(loss, logps)


def sppo_hard(logps: LogProbs, *, beta: float = 1e-3) -> Tensor:
    """Squared distance of each log-ratio from its own aim: 1 / (2 beta) up, or as much down.

    L = (log-ratio chosen - 1 / (2 beta))^2 + (log-ratio rejected + 1 / (2 beta))^2

    Not a function of the margin: chosen and rejected are held in place each by itself. With a
    strength p the aims are +-(2 p - 1) / (2 beta): the win rate less one half, over beta.

    Args:
        logps: Record with a reference; `tokens` in float32 or float64.
        beta: Strength of the tie to the reference, > 0, per nat (the paper's 1 / eta).

    Returns:
        Loss (relation,), nats squared, unreduced.

    Raises:
        ValueError: `beta` is out of range, or `logps` has no reference.

    References:
        Wu et al. 2024, arXiv:2405.00675. The authors' code halves this sum.

    Example:
        >>> import torch
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> sppo_hard(LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no))
        tensor([500000.])
    """
    BETA.check("beta", beta)

    def loss(pair: LogProbs) -> Tensor:
        return to_aims(pair, 1 / (2 * beta))

    return in_expectation(loss, logps)


def cal_dpo(logps: LogProbs, *, beta: float = 1e-3, calibration: float = 0.5) -> Tensor:
    """DPO at beta 1, plus a pull of each log-ratio towards an aim (Cal-DPO).

    L = softplus(-h) + c [(log-ratio chosen - 1 / (2 beta))^2
                          + (log-ratio rejected + 1 / (2 beta))^2], c = calibration

    The margin alone leaves both log-probs free to fall; the pull says where each should be.

    Args:
        logps: Record with a reference; `tokens` in float32 or float64.
        beta: Half of 1 / the aim, > 0, per nat. It is not in the logistic term.
        calibration: Weight of the pull, >= 0; 0 is DPO at beta 1.

    Returns:
        Loss (relation,), unreduced.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference.

    References:
        Xiao et al. 2024, arXiv:2412.14516.

    Example:
        >>> import torch
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> start = LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no)
        >>> cal_dpo(start, beta=0.1)  # log 2 + 0.5 x 50
        tensor([25.6931])
    """
    BETA.check("beta", beta)
    NOT_NEGATIVE.check("calibration", calibration)

    def loss(pair: LogProbs) -> Tensor:
        return smoothed(pair.margins) + calibration * to_aims(pair, 1 / (2 * beta))

    return in_expectation(loss, logps)


def to_aims(pair: LogProbs, aim: float) -> Tensor:
    """(relation,) squared distances of the log-ratios from `aim` (chosen) and -`aim` (rejected)."""
    ratios = pair.log_ratios
    return (ratios[pair.winner] - aim).square() + (ratios[pair.loser] + aim).square()
