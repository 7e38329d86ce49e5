"""Declarations of the losses that keep length out of what is learnt."""

from preftune.objectives.declaration import Objective
from preftune.objectives.settings import BETA, NOT_NEGATIVE, SHARE, Setting

_HOME = "preftune.objectives.losses.length"
_BETA = Setting(
    0.1, BETA, "tie to the reference, per nat; larger holds nearer; 0.01 to 0.5 is usual"
)

OBJECTIVES = (
    Objective(
        name="dpo_norm",
        loss=f"{_HOME}:dpo_norm",
        reward="preftune.objectives.rewards:mean_log_ratio",
        data="pairs",
        settings={
            "beta": Setting(
                5.0, BETA, "tie to the reference, per nat per token; 2 to 5; about |y| times dpo's"
            ),
        },
        learning_rate=5e-7,
        learning_rate_range=(2e-7, 5e-7),
        summary="length-normalised DPO: the margin is of log-ratios per token",
        formula="softplus(−β(Δ̄_w − Δ̄_l))",
        rewards="βΔ̄",
        at_start="ln 2",
        when="Where lengths differ and dpo makes the policy verbose: the recipe of Tülu 3 "
        "(β 5, one epoch).",
        when_not="With a β tuned for dpo: β here is about that times the length.",
        pitfalls=(
            "A token of a short response moves more than one of a long response.",
            "In Tülu 3's ablation results ranged widely with β, learning rate and epochs: tune "
            "all three.",
        ),
        paper="Lambert et al. 2024, arXiv:2411.15124 (Tülu 3)",
    ),
    Objective(
        name="len_dpo",
        loss=f"{_HOME}:len_dpo",
        reward=f"{_HOME}:regularised_reward",
        data="pairs",
        settings={
            "beta": _BETA,
            "alpha": Setting(
                0.01,
                NOT_NEGATIVE,
                "cost of a token, in logits; by default 100 tokens weigh one logit; our choice, "
                "the paper's grid was not verified; 0 is dpo",
            ),
        },
        learning_rate=1e-6,
        learning_rate_range=(5e-7, 1e-6),
        summary="length-regularised DPO: DPO for a reward less α per token",
        formula="softplus(−(βh + α(|w| − |l|)))",
        rewards="βΔ + α|y|",
        at_start="softplus(−α(|w| − |l|))",
        when="Where chosen responses are mainly longer and judges like length: what length "
        "explains is not learnt.",
        when_not="Where the longer response is better because it is longer.",
        pitfalls=(
            "The sign is plus, as the derivation gives it: a longer chosen response leaves less to "
            "learn. Some tools have a minus, or put α inside β.",
            "α is per token: with responses of 1000 tokens divide it by ten.",
            "Called R-DPO too, which is not robust_dpo.",
        ),
        paper="Park, Rafailov, Ermon and Finn 2024, arXiv:2403.19159",
    ),
    Objective(
        name="ld_dpo",
        loss=f"{_HOME}:ld_dpo",
        reward=f"{_HOME}:desensitised_reward",
        data="pairs",
        settings={
            "beta": _BETA,
            "alpha": Setting(
                0.5, SHARE, "weight of the tokens that the longer response has more; 1 is dpo"
            ),
        },
        learning_rate=1e-6,
        learning_rate_range=(5e-7, 1e-6),
        summary="LD-DPO: tokens beyond the shorter response's length count α",
        formula="softplus(−β(Δᴸᴰ_w − Δᴸᴰ_l)), Δᴸᴰ = Δ of the first min(|w|, |l|) tokens + α·Δ of "
        "the rest",
        rewards="βΔᴸᴰ",
        at_start="ln 2",
        when="Where one side of the pairs is much longer, and its tail would outweigh the rest of "
        "the margin.",
        when_not="Where what matters comes at the end, such as a final answer: it is the tail that "
        "counts less.",
        pitfalls=(
            "Nothing changes for pairs of equal length.",
            "With several responses to a prompt the tail of a response depends on its partner; "
            "accuracy then takes the shortest partner.",
        ),
        paper="Liu et al. 2024, arXiv:2409.06411",
    ),
)
