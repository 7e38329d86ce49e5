"""Declarations of the losses that are functions of a pair's margin."""

from preftune.objectives.declaration import Objective
from preftune.objectives.settings import BETA, LABEL_SMOOTHING, Setting

_HOME = "preftune.objectives.losses.logistic"

OBJECTIVES = (
    Objective(
        name="dpo",
        loss=f"{_HOME}:dpo",
        reward="preftune.objectives.rewards:log_ratio",
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
)
