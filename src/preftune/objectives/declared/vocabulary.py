"""Declarations of the losses that look at the whole next-token distribution."""

from preftune.objectives.declaration import Objective
from preftune.objectives.settings import BETA, NOT_NEGATIVE, POSITIVE, Setting

_HOME = "preftune.objectives.losses.vocabulary"

OBJECTIVES = (
    Objective(
        name="tdpo1",
        loss=f"{_HOME}:tdpo1",
        reward=f"{_HOME}:kl_reward",
        data="pairs",
        reference="distribution",
        vocabulary=("kl",),
        settings={
            "beta": Setting(0.1, BETA, "tie to the reference, per nat; larger holds nearer"),
        },
        learning_rate=5e-7,
        learning_rate_range=(5e-7, 1e-6),
        summary="token-level DPO: the margin less the difference of the sequence KLs",
        formula="softplus(−β(h − (K_l − K_w))),  K = Σₜ KL(reference ‖ policy) at token t",
        rewards="β(Δ + K)",
        at_start="ln 2",
        when="To hold the KL of whole distributions and not only that of the sampled tokens, at "
        "low learning rates.",
        when_not="Where memory is short: the reference is kept live and its whole distribution "
        "computed; at high learning rates tdpo2 is advised.",
        pitfalls=(
            "Its gradient pushes the chosen response's KL up.",
            "The reference's log-probs cannot come from the cache.",
        ),
        paper="Zeng et al. 2024, arXiv:2404.11999",
    ),
    Objective(
        name="tdpo2",
        loss=f"{_HOME}:tdpo2",
        reward=f"{_HOME}:kl_reward",
        data="pairs",
        reference="distribution",
        vocabulary=("kl",),
        settings={
            "beta": Setting(0.1, BETA, "tie to the reference, per nat; larger holds nearer"),
            "alpha": Setting(0.5, NOT_NEGATIVE, "weight of the sequence KLs; 0 is DPO"),
        },
        learning_rate=5e-7,
        learning_rate_range=(5e-7, 1e-6),
        summary="token-level DPO that only holds the rejected response's KL down",
        formula="softplus(−β(h − α(K_l − sg[K_w]))),  K = Σₜ KL(reference ‖ policy) at token t",
        rewards="β(Δ + αK)",
        at_start="ln 2",
        when="To hold the KL of whole distributions, also at high learning rates.",
        when_not="Where memory is short: the reference is kept live and its whole distribution "
        "computed.",
        pitfalls=("The reference's log-probs cannot come from the cache.",),
        paper="Zeng et al. 2024, arXiv:2404.11999",
    ),
    Objective(
        name="wpo",
        loss=f"{_HOME}:wpo",
        reward="preftune.objectives.rewards:log_ratio",
        data="pairs",
        vocabulary=("collision",),
        settings={
            "beta": Setting(0.01, BETA, "tie to the reference, per nat; larger holds nearer"),
            "largest_weight": Setting(
                1.0, POSITIVE, "where a pair's weight is cut; 1 in the authors' code"
            ),
        },
        learning_rate=5e-7,
        learning_rate_range=(5e-7, 1e-6),
        summary="WPO: DPO in which pairs count by how likely the policy is to write them",
        formula="min(w_w·w_l, largest)·softplus(−βh),  w = exp(meanₜ(log pₜ − log Σᵥ pᵥ²))",
        rewards="βΔ",
        at_start="w·ln 2",
        when="For pairs that other models wrote: those like the policy's own count more, as if "
        "the data were its own.",
        when_not="For responses sampled from the policy itself: the weights tell little apart.",
        pitfalls=(
            "The weights are mostly below 1, so the loss and the gradient are smaller than "
            "DPO's at the same learning rate.",
            "Tools differ in the limit on the weight, and one leaves Σp² out.",
        ),
        paper="Zhou et al. 2024, arXiv:2406.11827",
    ),
)
