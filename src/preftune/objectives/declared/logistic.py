"""Declarations of the losses that are functions of a pair's margin."""

from preftune.objectives.declaration import Objective
from preftune.objectives.settings import BETA, FRACTION, LABEL_SMOOTHING, NOISE, Setting

_HOME = "preftune.objectives.losses.logistic"
_REWARD = "preftune.objectives.rewards:log_ratio"

OBJECTIVES = (
    Objective(
        name="dpo",
        loss=f"{_HOME}:dpo",
        reward=_REWARD,
        data="pairs",
        settings={
            "beta": Setting(
                0.1,
                BETA,
                "tie to the reference, per nat; larger holds nearer; 0.01 to 0.5 is usual",
            ),
            "label_smoothing": Setting(
                0.0, LABEL_SMOOTHING, "assumed share of flipped labels (cDPO); 0.1 where noisy"
            ),
        },
        learning_rate=1e-6,
        learning_rate_range=(5e-7, 1e-6),
        summary="Direct Preference Optimization: classify pairs by the policy's own reward",
        formula="(1−ε)·softplus(−βh) + ε·softplus(βh)",
        rewards="βΔ",
        at_start="ln 2",
        when="The first choice for pairs: well understood, one setting that matters. With label "
        "smoothing (cDPO) where some labels are wrong and large margins should stop growing.",
        when_not="Where the log-prob of the chosen responses must not fall (dpo_nll, dpop, nca), "
        "or where chosen responses are mainly longer (dpo_norm, simpo, len_dpo).",
        pitfalls=(
            "Only the margin counts: both log-probs may fall together, and mass may go to "
            "responses that are in no pair. Watch `displacement`.",
            "Without label smoothing the margin of a clean label grows without end, and the tie "
            "to the reference fades.",
        ),
        paper="Rafailov et al. 2023, arXiv:2305.18290, Eq. 7; cDPO: Mitchell 2023, "
        "ericmitchell.ai/cdpo.pdf",
    ),
    Objective(
        name="robust_dpo",
        loss=f"{_HOME}:robust_dpo",
        reward=_REWARD,
        data="pairs",
        settings={
            "beta": Setting(
                0.1,
                BETA,
                "tie to the reference, per nat; larger holds nearer; 0.01 to 0.5 is usual",
            ),
            "epsilon": Setting(
                0.1, LABEL_SMOOTHING, "probability that a label is flipped; estimate it, else 0.1"
            ),
        },
        learning_rate=1e-6,
        learning_rate_range=(5e-7, 1e-6),
        summary="robust DPO (rDPO): DPO's loss made unbiased for labels flipped at random",
        formula="[(1−ε)·softplus(−βh) − ε·softplus(βh)] / (1−2ε)",
        rewards="βΔ",
        at_start="ln 2",
        when="Where a known share of the labels is flipped at random, whatever the pair: it is, on "
        "average, DPO on the true labels.",
        when_not="Where the share is a guess, or flips are found in close pairs rather than "
        "everywhere (dpo with label smoothing stops at a finite margin, this does not).",
        pitfalls=(
            "A loss below 0 is legal: it falls without end, by about ε/(1−2ε) for each logit.",
            "The slope never fades, so margins grow faster than DPO's; watch `displacement`.",
            "Not the rDPO or R-DPO that regularises length: that is len_dpo.",
        ),
        paper="Chowdhury, Kini and Natarajan 2024, arXiv:2403.00409",
    ),
    Objective(
        name="hinge",
        loss=f"{_HOME}:hinge",
        reward=_REWARD,
        data="pairs",
        settings={
            "beta": Setting(0.1, BETA, "inverse of the margin in nats that is enough; 0.01 to 0.5"),
        },
        learning_rate=1e-6,
        learning_rate_range=(5e-7, 1e-6),
        summary="hinge loss of DPO's margin: a pair with margin 1/β is done with",
        formula="max(0, 1 − βh)",
        rewards="βΔ",
        at_start="1",
        when="Where pairs that are right with room to spare should stop moving the policy.",
        when_not="Where labels are noisy: a flipped label pulls with full force, however far off.",
        pitfalls=(
            "All pairs short of the margin pull equally hard, hopeless ones too.",
            "With labels in doubt (strength below 1) the least loss stays at βh = 1.",
            "Not SLiC: that has no reference and adds a likelihood term.",
        ),
        paper="Liu et al. 2023, arXiv:2309.06657",
    ),
    Objective(
        name="exo",
        loss=f"{_HOME}:exo",
        reward=_REWARD,
        data="pairs",
        settings={
            "beta": Setting(
                0.1, BETA, "tie to the reference, per nat; larger holds nearer; 0.1 in its paper"
            ),
            "epsilon": Setting(
                1e-3, NOISE, "probability left to the rejected response; 1e-3 in its paper"
            ),
        },
        learning_rate=1e-6,
        learning_rate_range=(5e-7, 1e-6),
        summary="EXO: reverse KL from the policy's view of a pair to the judge's, mode seeking",
        formula="KL((σ(z), σ(−z)) ‖ (1−ε, ε)), z = βh",
        rewards="βΔ",
        at_start="−ln 2 − ½·ln(ε(1−ε)); 2.7612 at ε = 0.001",
        when="To seek the mode: it learns most where the policy can still be turned round, and "
        "stops at the margin ln((1−ε)/ε)/β.",
        when_not="Where many pairs start out badly wrong: their gradient fades, and they are "
        "given up.",
        pitfalls=(
            "About the start it pulls about 3.5 times as hard as DPO at the same β (at ε = 0.001).",
            "ε sets the scale of the loss, and the loss grows without bound as ε goes to 0.",
        ),
        paper="Ji et al. 2024, arXiv:2402.00856, Eq. 16",
    ),
    Objective(
        name="discopop",
        loss=f"{_HOME}:discopop",
        reward=_REWARD,
        data="pairs",
        settings={
            "beta": Setting(0.05, BETA, "tie to the reference, per nat; 0.05 in its paper"),
            "tau": Setting(
                0.05, FRACTION, "width of the passage between both losses; 0.05 in its paper"
            ),
        },
        learning_rate=5e-7,
        learning_rate_range=(5e-7, 1e-6),
        summary="DiscoPOP: a loss found by program search, logistic for wrong pairs, exponential "
        "for right ones",
        formula="(1−σ(z/τ))·softplus(−z) + σ(z/τ)·exp(−z), z = βh",
        rewards="βΔ",
        at_start="½·ln 2 + ½; 0.8466",
        when="To reproduce its paper, or as a loss that lets go of pairs that are a little wrong.",
        when_not="As a first choice: it is not convex, and at the start it lowers the margin.",
        pitfalls=(
            "At the start the slope has the wrong sign (+0.784β by h): first steps raise the "
            "rejected response. There is a valley at βh = −0.119 behind a hill at 0.072, and pairs "
            "may stay in it.",
        ),
        paper="Lu et al. 2024, arXiv:2406.08414",
    ),
)
