"""Declarations of the losses that ask for more or less margin, pair by pair."""

from preftune.objectives.declaration import Objective
from preftune.objectives.settings import BETA, FRACTION, NOT_NEGATIVE, Setting

_HOME = "preftune.objectives.losses.offset"
_REWARD = "preftune.objectives.rewards:log_ratio"
_BETA = Setting(
    0.1, BETA, "tie to the reference, per nat; larger holds nearer; 0.01 to 0.5 is usual"
)

OBJECTIVES = (
    Objective(
        name="odpo",
        loss=f"{_HOME}:odpo",
        reward=_REWARD,
        data="pairs",
        margins="positive",
        soft=False,
        settings={
            "beta": _BETA,
            "alpha": Setting(1.0, NOT_NEGATIVE, "weight of the offset; 0 to 1 in its paper"),
        },
        learning_rate=1e-6,
        learning_rate_range=(5e-7, 1e-6),
        summary="ODPO: DPO that asks for more margin where the judge saw a larger gap",
        formula="softplus(−(βh − α·ln(s_w − s_l)))",
        rewards="βΔ, whose gap is to pass α·ln(s_w − s_l)",
        at_start="softplus(α·ln(s_w − s_l))",
        when="Where a judge gave scores, and a clear win should count for more than a close one.",
        when_not="Where the scores' scale means nothing, or gaps may be 0 or negative.",
        pitfalls=(
            "A gap below 1 is a negative offset, so the unit of the scores matters: ratings of 1 "
            "to 10 and of 0 to 1 give different objectives.",
            "A gap of 0 or below has no logarithm: such pairs are left out and counted (alone in a "
            "loop the loss is NaN); odpo_linear takes them.",
            "It can't learn from judgements in doubt (strength below 1): swapped, the gap is "
            "negative.",
        ),
        paper="Amini, Vieira and Cotterell 2024, arXiv:2402.10571",
    ),
    Objective(
        name="odpo_linear",
        loss=f"{_HOME}:odpo_linear",
        reward=_REWARD,
        data="pairs",
        margins="any",
        settings={
            "beta": _BETA,
            "alpha": Setting(
                1.0,
                NOT_NEGATIVE,
                "weight of the gap: logits per unit of the judge's scores",
            ),
        },
        learning_rate=1e-6,
        learning_rate_range=(5e-7, 1e-6),
        summary="ODPO with the judge's gap itself as the offset, not its logarithm",
        formula="softplus(−(βh − α(s_w − s_l)))",
        rewards="βΔ, whose gap is to pass α(s_w − s_l)",
        at_start="softplus(α(s_w − s_l))",
        when="Where scores are logits, as those of a reward model, or gaps may be 0 or below 1.",
        when_not="Where a few gaps are huge: the loss grows with them, and they outweigh the rest.",
        pitfalls=(
            "At α 1 scores are taken to be in logits: for ratings of 1 to 10 make α small.",
            "A strength p is taken as the probability of a lead by the offset, not of any lead.",
        ),
        paper="Amini, Vieira and Cotterell 2024, arXiv:2402.10571",
    ),
    Objective(
        name="modpo",
        loss=f"{_HOME}:modpo",
        reward=_REWARD,
        data="pairs",
        margins="any",
        settings={
            "beta": _BETA,
            "share": Setting(
                0.5, FRACTION, "weight w of the objective that the judgements are of; 1 is dpo"
            ),
        },
        learning_rate=1e-6,
        learning_rate_range=(5e-7, 1e-6),
        summary="MODPO: pairs of one objective, reward margins m of the others",
        formula="softplus(−(βh − (1−w)·m)/w)",
        rewards="βΔ, whose gap less (1−w)·m is w times the judged objective's reward",
        at_start="softplus((1−w)·m/w)",
        when="To trade one objective (helpful) against others (harmless, short) for which there "
        "are reward models: one run for each weight gives the front between them.",
        when_not="Without calibrated rewards: m must be in the same logits as βh.",
        pitfalls=(
            "m is the margin of the other objectives, not the judge's own gap (that is odpo).",
            "With several others give m as their mean, weighted to a sum of 1.",
            "A small w multiplies the gradient by 1/w: lower the learning rate with it.",
        ),
        paper="Zhou et al. 2023, arXiv:2310.03708",
    ),
)
