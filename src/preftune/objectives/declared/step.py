"""Declarations of the losses that compare an optimiser step's pairs as a whole."""

from preftune.objectives.declaration import Objective
from preftune.objectives.settings import BETA, LABEL_SMOOTHING, Setting

_HOME = "preftune.objectives.losses.step"

OBJECTIVES = (
    Objective(
        name="aot",
        loss=f"{_HOME}:aot",
        reward="preftune.objectives.rewards:log_ratio",
        data="pairs",
        scope="step",
        soft=False,
        weighted=False,
        settings={
            "beta": Setting(0.01, BETA, "tie to the reference, per nat; larger holds nearer"),
            "label_smoothing": Setting(0.0, LABEL_SMOOTHING, "assumed share of flipped labels"),
        },
        learning_rate=5e-7,
        learning_rate_range=(5e-7, 1e-6),
        summary="AOT: the policy's preferences, sorted, must exceed the reference's, sorted",
        formula="(1−ε)·softplus(−βδ) + ε·softplus(βδ),  δ = sort(ℓ_w − ℓ_l) − sort(ref_w − ref_l)",
        rewards="βΔ",
        at_start="ln 2",
        when="Where the whole distribution of margins matters more than each pair's.",
        when_not="With few pairs in a step: with one it is DPO, with a handful little is sorted.",
        pitfalls=(
            "The step is the whole step, over micro-batches and processes; tools that sort each "
            "device's micro-batch give other numbers.",
            "Judgements with doubt or with weights are refused: sorting loses whose they were.",
        ),
        paper="Melnyk et al. 2024, arXiv:2406.05882",
    ),
    Objective(
        name="aot_unpaired",
        loss=f"{_HOME}:aot_unpaired",
        reward="preftune.objectives.rewards:log_ratio",
        data="pairs",
        scope="step",
        soft=False,
        weighted=False,
        settings={
            "beta": Setting(0.01, BETA, "tie to the reference, per nat; larger holds nearer"),
            "label_smoothing": Setting(0.0, LABEL_SMOOTHING, "assumed share of flipped labels"),
        },
        learning_rate=5e-7,
        learning_rate_range=(5e-7, 1e-6),
        summary="AOT unpaired: chosen log-ratios, sorted, must exceed the rejected ones, sorted",
        formula="(1−ε)·softplus(−βδ) + ε·softplus(βδ),  δ = sort(Δ_w) − sort(Δ_l)",
        rewards="βΔ",
        at_start="ln 2",
        when="Where good and bad responses were put together at random, so that the pairs say "
        "nothing beyond good and bad.",
        when_not="Where prompts differ in difficulty: a response is compared with those of others.",
        pitfalls=(
            "The step is the whole step, over micro-batches and processes.",
            "An older tool calls this one `aot_pair`.",
            "At the same log-ratios it is never above DPO's loss: sorting is the cheapest pairing.",
            "Judgements with doubt or with weights are refused: sorting loses whose they were.",
        ),
        paper="Melnyk et al. 2024, arXiv:2406.05882",
    ),
)
