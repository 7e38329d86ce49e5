"""Declarations of DPO for other divergences than the reverse KL."""

from preftune.objectives.declaration import Objective
from preftune.objectives.settings import BETA, FRACTION, Setting

_HOME = "preftune.objectives.losses.divergence"
_BETA = Setting(0.1, BETA, "tie to the reference; larger holds nearer; 0.1 in its paper")
_PAPER = "Wang et al. 2023, arXiv:2309.16240"
_EXPONENTIAL = (
    "The score is an exponential of the whole response's log-ratio: tens of nats below the "
    "reference give enormous losses and gradients. Clip gradients; long responses suit it badly.",
    "Beyond an exponent of 30 the exponential goes on as its tangent: finite, but no longer the "
    "formula.",
)

OBJECTIVES = (
    Objective(
        name="dpo_forward_kl",
        loss=f"{_HOME}:dpo_forward_kl",
        reward=f"{_HOME}:forward_kl_reward",
        data="pairs",
        settings={"beta": _BETA},
        learning_rate=1e-6,
        learning_rate_range=(5e-7, 1e-6),
        summary="f-DPO for the forward KL: covers what the reference covers",
        formula="softplus(−β(exp(−Δ_l) − exp(−Δ_w)))",
        rewards="β(1 − exp(−Δ))",
        at_start="ln 2",
        when="For short responses, where no response of the reference may become very unlikely.",
        when_not="For long responses: log-ratios of hundreds of nats are common there.",
        pitfalls=(
            *_EXPONENTIAL,
            "A chosen response far above the reference gains nothing more: the pair is then learnt "
            "by lowering the rejected one.",
        ),
        paper=_PAPER,
    ),
    Objective(
        name="dpo_jensen_shannon",
        loss=f"{_HOME}:dpo_jensen_shannon",
        reward=f"{_HOME}:jensen_shannon_reward",
        data="pairs",
        settings={"beta": _BETA},
        learning_rate=1e-6,
        learning_rate_range=(5e-7, 1e-6),
        summary="f-DPO for the Jensen-Shannon divergence: between forward and reverse KL, bounded",
        formula="softplus(−β(ln σ(Δ_w) − ln σ(Δ_l)))",
        rewards="β(ln σ(Δ) + ln 2)",
        at_start="ln 2",
        when="For a bounded reward above the reference and dpo's own below it, without the "
        "exponentials of forward KL and α: safe for long responses.",
        when_not="Where chosen responses should rise far above the reference: the reward ends at "
        "β·ln 2.",
        pitfalls=(
            "At the same β the first steps are half of dpo's.",
            "Where Δ_w is well above 0, nearly all of the gradient lowers the rejected response.",
        ),
        paper=_PAPER,
    ),
    Objective(
        name="dpo_alpha_divergence",
        loss=f"{_HOME}:dpo_alpha_divergence",
        reward=f"{_HOME}:alpha_divergence_reward",
        data="pairs",
        settings={
            "beta": _BETA,
            "alpha": Setting(
                0.5, FRACTION, "choice of the divergence: towards 0 it is dpo, 1 is dpo_forward_kl"
            ),
        },
        learning_rate=1e-6,
        learning_rate_range=(5e-7, 1e-6),
        summary="f-DPO for an α-divergence: from dpo (α → 0) to forward KL (α = 1)",
        formula="softplus(−β(exp(−αΔ_l) − exp(−αΔ_w))/α)",
        rewards="β(1 − exp(−αΔ))/α",
        at_start="ln 2",
        when="To go from dpo towards forward KL step by step.",
        when_not="For long responses with α near 1.",
        pitfalls=(
            *_EXPONENTIAL,
            "Other tools write 1 − α for this α; only 0.5 means the same there.",
            "Neither α-DPO nor AlphaPO: those are other objectives.",
        ),
        paper=_PAPER,
    ),
)
