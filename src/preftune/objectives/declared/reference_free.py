"""Declarations of the losses of pairs that need no reference."""

from preftune.objectives.declaration import Objective
from preftune.objectives.settings import (
    BETA,
    LABEL_SMOOTHING,
    NOT_NEGATIVE,
    REAL,
    SWITCH,
    Setting,
)

_HOME = "preftune.objectives.losses.reference_free"

OBJECTIVES = (
    Objective(
        name="slic",
        loss=f"{_HOME}:slic",
        reward="preftune.objectives.rewards:log_prob",
        data="pairs",
        reference="none",
        settings={
            "delta": Setting(
                1.0, NOT_NEGATIVE, "margin between the log-probs of whole responses, nats"
            ),
            "lam": Setting(
                0.1, NOT_NEGATIVE, "weight of the chosen response's likelihood, summed over tokens"
            ),
        },
        learning_rate=1e-6,
        learning_rate_range=(5e-7, 1e-4),
        summary="SLiC-HF: push the log-probs apart up to a margin, and keep the chosen one likely",
        formula="max(0, δ − (ℓ_w − ℓ_l)) − λ·ℓ_w",
        rewards="ℓ",
        at_start="δ + λ·NLL_w where both responses are equally likely",
        when="To train without a reference, with pairs that are left alone once they are apart.",
        when_not="With responses of unequal length: their whole log-probs are compared, and a "
        "longer one is less likely by its length alone.",
        pitfalls=(
            "The likelihood term never ends, also for pairs beyond the margin.",
            "The paper's learning rate of 1e-4 (batches of 512) is far above what other "
            "objectives bear in full fine-tuning; begin with the default.",
        ),
        paper="Zhao et al. 2023, arXiv:2305.10425",
    ),
    Objective(
        name="cpo",
        loss=f"{_HOME}:cpo",
        reward="preftune.objectives.rewards:log_prob",
        data="pairs",
        reference="none",
        settings={
            "beta": Setting(0.1, BETA, "slope by the difference of log-probs, per nat"),
            "alpha": Setting(
                1.0, NOT_NEGATIVE, "weight of the chosen response's likelihood; 0: none"
            ),
            "per_token": Setting(
                1.0, SWITCH, "1: the likelihood is a mean over the response's tokens; 0: a sum"
            ),
        },
        learning_rate=1e-6,
        learning_rate_range=(5e-7, 1e-4),
        summary="DPO with the reference left out, held by the chosen response's likelihood",
        formula="softplus(−β(ℓ_w − ℓ_l)) + α·NLL_w/|w|",
        rewards="βℓ",
        at_start="ln 2 + α·NLL_w/|w| where both responses are equally likely",
        when="To save the reference, with chosen responses good enough to be imitated; it comes "
        "from translation.",
        when_not="Where chosen responses are only the better of two poor ones, or where lengths "
        "differ much: whole log-probs are compared.",
        pitfalls=(
            "Tools reduce the likelihood differently (over the response's tokens, over the "
            "batch's, as a sum): an alpha from elsewhere may mean something else.",
            "The published learning rate of 1e-4 comes from translation; begin with the default.",
        ),
        paper="Xu et al. 2024, arXiv:2401.08417",
    ),
    Objective(
        name="orpo",
        loss=f"{_HOME}:orpo",
        reward=f"{_HOME}:log_odds_reward",
        data="pairs",
        reference="none",
        settings={
            "lam": Setting(
                0.1,
                NOT_NEGATIVE,
                "weight of the odds ratio; 0.1 to 0.25 published; called beta in some tools",
            ),
        },
        learning_rate=5e-6,
        learning_rate_range=(5e-6, 8e-6),
        summary="ORPO: fine-tuning on the chosen responses with a penalty on the others, in one go",
        formula="NLL_w/|w| + λ·softplus(−(o_w − o_l)),  o = ℓ̄ − log(1 − e^ℓ̄)",
        rewards="o, the log-odds of e^ℓ̄",
        at_start="NLL_w/|w| + λ·ln 2 where both responses are equally likely per token",
        when="From a base model straight to a preference-tuned one, without SFT before and without "
        "a reference.",
        when_not="On a model that is already fine-tuned and must keep what it can do: most of the "
        "loss is SFT, and nothing ties it to where it came from.",
        pitfalls=(
            "At λ = 0.1 the rejected log-probs did not fall in the paper's ablation, at 0.5 they "
            "did, at 1 the chosen ones fell too.",
            "It learns from the chosen responses as from demonstrations: they should be as good "
            "as SFT data.",
        ),
        paper="Hong, Lee and Thorne 2024, arXiv:2403.07691",
    ),
    Objective(
        name="simpo",
        loss=f"{_HOME}:simpo",
        reward="preftune.objectives.rewards:mean_log_prob",
        data="pairs",
        reference="none",
        settings={
            "beta": Setting(2.0, BETA, "slope, per nat per token; 2 to 10 published"),
            "gamma": Setting(
                1.0,
                NOT_NEGATIVE,
                "margin itself, in logits (not the ratio gamma / beta); 0.3 to 5 published",
            ),
            "label_smoothing": Setting(0.0, LABEL_SMOOTHING, "assumed share of flipped labels"),
        },
        learning_rate=6e-7,
        learning_rate_range=(3e-7, 1e-6),
        summary="SimPO: the log-prob per token is the reward, better by a margin; no reference",
        formula="(1−ε)·softplus(−u) + ε·softplus(u),  u = β(ℓ̄_w − ℓ̄_l) − γ",
        rewards="βℓ̄",
        at_start="softplus(γ) where both responses are equally likely per token",
        when="Where responses should not grow longer, and no reference is to be kept: the reward "
        "is what generation maximises.",
        when_not="Where reasoning must not suffer: nothing ties the policy to where it began, and "
        "an 8B model fell from 78.5 to 57.4 on GSM8K at 1e-6, to 77.9 at 4e-7.",
        pitfalls=(
            "The learning rate is the only regulariser: measure reasoning beside win rates.",
            "The authors' run files and some tools give gamma / beta; here gamma is the margin.",
            "Whether the end-of-turn token counts changes the log-prob per token.",
        ),
        paper="Meng, Xia and Chen 2024, arXiv:2405.14734",
    ),
    Objective(
        name="alphapo",
        loss=f"{_HOME}:alphapo",
        reward=f"{_HOME}:bent_reward",
        data="pairs",
        reference="none",
        settings={
            "beta": Setting(2.5, BETA, "slope, per nat per token"),
            "gamma": Setting(
                0.1, NOT_NEGATIVE, "margin itself, in logits (not the ratio gamma / beta)"
            ),
            "alpha": Setting(
                0.25, REAL, "shape of the reward; 0 is SimPO, below 0 unlikely responses count less"
            ),
        },
        learning_rate=7e-7,
        learning_rate_range=(5e-7, 1e-6),
        summary="AlphaPO: SimPO with a reward that is bent by one more setting",
        formula="softplus(−(r_w − r_l − γ)),  r = β(1 − e^(−αℓ̄))/α",
        rewards="β(1 − e^(−αℓ̄))/α",
        at_start="softplus(γ) where both responses are equally likely per token",
        when="Where SimPO works, and there is time to tune how much unlikely responses count.",
        when_not="First: it is SimPO with a third setting.",
        pitfalls=(
            "With alpha above 0 the slope grows exponentially where a response is unlikely: a few "
            "such pairs can fill the gradient. The exponent is cut at 40.",
            "As with SimPO, the learning rate is the only regulariser.",
        ),
        paper="AlphaPO 2025, arXiv:2501.03884",
    ),
)
