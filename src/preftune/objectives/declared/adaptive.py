"""Declarations of the losses with a beta or a margin that follows the step's other pairs."""

from preftune.objectives.declaration import Objective
from preftune.objectives.settings import BELOW_ONE, BETA, NOT_NEGATIVE, Setting

_HOME = "preftune.objectives.losses.adaptive"

OBJECTIVES = (
    Objective(
        name="beta_dpo",
        loss=f"{_HOME}:beta_dpo",
        reward="preftune.objectives.rewards:log_ratio",
        data="pairs",
        scope="step",
        running=f"{_HOME}:beta_dpo_state",
        settings={
            "beta": Setting(0.1, BETA, "tie to the reference at an average step, per nat"),
            "sensitivity": Setting(
                0.6, NOT_NEGATIVE, "how much beta follows the step's mean margin, per nat"
            ),
            "dropped": Setting(0.2, BELOW_ONE, "share of a step's pairs that are left out"),
        },
        learning_rate=5e-7,
        learning_rate_range=(5e-7, 1e-6),
        summary="β-DPO: beta follows the step's margins, and outliers are mostly left out",
        formula="softplus(−β′h),  β′ = max(0.001, β(1 + a(mean h − running mean h)))",
        rewards="βΔ",
        at_start="ln 2",
        when="Where pairs differ much in quality, and one beta does not fit all of them.",
        when_not="Where every pair must be learnt from, or with small steps: the mean is noise.",
        pitfalls=(
            "Margins are in nats of whole responses: with long ones their mean jumps by more than "
            "1 / a, and beta falls to its floor.",
            "It is DPO with a part of the pairs: a step of 64 learns from 51.",
            "The log's rewards use the beta that was set, not the one that followed.",
            "The held-out loss is over a drawn share of the pairs, too; accuracy is over all.",
        ),
        paper="Wu et al. 2024, arXiv:2407.08639",
    ),
    Objective(
        name="alpha_dpo",
        loss=f"{_HOME}:alpha_dpo",
        reward="preftune.objectives.rewards:mean_log_prob",
        data="pairs",
        scope="step",
        running=f"{_HOME}:alpha_dpo_state",
        settings={
            "beta": Setting(2.5, BETA, "slope, per nat per token; 2.5 to 10 published"),
            "gamma": Setting(
                1.5,
                NOT_NEGATIVE,
                "margin of an average pair itself, in logits (not the ratio gamma / beta)",
            ),
            "alpha": Setting(
                0.1,
                NOT_NEGATIVE,
                "how much the margin follows the pair; 0.05 to 0.2 published, 0 is SimPO",
            ),
        },
        learning_rate=1e-6,
        learning_rate_range=(6e-7, 1e-6),
        summary="α-DPO: SimPO with a margin for each pair, larger where it is already far apart",
        formula="softplus(−(β(ℓ̄_w − ℓ̄_l) − γ − βα·z)),  z = standardised Δ̄_w − Δ̄_l",
        rewards="βℓ̄",
        at_start="softplus(γ) where both responses are equally likely per token",
        when="Where SimPO works and a reference is at hand: its margin then fits each pair.",
        when_not="Where memory for a reference is short, or a loss without running state is "
        "preferred (simpo).",
        pitfalls=(
            "The authors' run files give gamma / beta (0.15 to 0.6); here gamma is the margin.",
            "Published results standardise the gap per token, not the summed one.",
            "Three settings interact; the learning rate stays the main regulariser.",
        ),
        paper="Wu et al. 2024, arXiv:2410.10148",
    ),
)
