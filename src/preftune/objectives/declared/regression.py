"""Declarations of the losses that ask for a certain margin or log-ratio."""

from preftune.objectives.declaration import Objective
from preftune.objectives.settings import BETA, NOT_NEGATIVE, POSITIVE, Setting

_HOME = "preftune.objectives.losses.regression"
_SCALES = (
    "Sum and mean form have different scales of τ: 1/(2τ) is in nats here and in nats per token "
    "there. Never carry a τ from one to the other.",
    "The loss starts at 1/(4τ²), 25 at 0.1 and 2500 at 0.01: clipping of gradients may set the "
    "step.",
    "Margins beyond the aim cost too, so accuracy can rise while the loss rises.",
)

OBJECTIVES = (
    Objective(
        name="ipo_sum",
        loss=f"{_HOME}:ipo_sum",
        reward="preftune.objectives.rewards:log_ratio",
        data="pairs",
        settings={
            "tau": Setting(
                0.1,
                POSITIVE,
                "tie to the reference: the wanted margin is 1/(2τ) nats; 0.01 to 0.1 is sensible",
            ),
        },
        learning_rate=5e-7,
        learning_rate_range=(3e-7, 1e-6),
        summary="IPO over whole responses: the margin is to be 1/(2τ) nats, no more and no less",
        formula="(h − 1/(2τ))²",
        rewards="Δ, whose gap is to be 1/(2τ)",
        at_start="1/(4τ²)",
        when="Where judgements leave no doubt or are few, and DPO's margins would grow without "
        "end: here the tie to the reference holds.",
        when_not="Where responses differ much in length: the wanted margin is the same for 20 and "
        "for 2000 tokens (ipo_mean).",
        pitfalls=_SCALES,
        paper="Azar et al. 2023, arXiv:2310.12036, Eq. 17",
    ),
    Objective(
        name="ipo_mean",
        loss=f"{_HOME}:ipo_mean",
        reward="preftune.objectives.rewards:mean_log_ratio",
        data="pairs",
        settings={
            "tau": Setting(
                0.1,
                POSITIVE,
                "tie to the reference: the wanted margin is 1/(2τ) nats per token; 0.01 to 1",
            ),
        },
        learning_rate=5e-7,
        learning_rate_range=(3e-7, 1e-6),
        summary="IPO per token: the margin of mean log-ratios is to be 1/(2τ)",
        formula="(Δ̄_w − Δ̄_l − 1/(2τ))²",
        rewards="Δ̄, whose gap is to be 1/(2τ)",
        at_start="1/(4τ²)",
        when="As ipo_sum, where responses differ in length. TRL's DPO trainer and HALOs run this "
        "form, the first with a note that the authors confirmed it; OpenRLHF runs ipo_sum.",
        when_not="Where the aim is known in nats of the whole response (ipo_sum).",
        pitfalls=(
            *_SCALES,
            "A token of a short response moves more than one of a long response.",
        ),
        paper="Azar et al. 2023, arXiv:2310.12036, Eq. 17, with mean log-ratios",
    ),
    Objective(
        name="sppo_hard",
        loss=f"{_HOME}:sppo_hard",
        reward="preftune.objectives.rewards:log_ratio",
        data="pairs",
        settings={
            "beta": Setting(
                1e-3, BETA, "tie to the reference: the aims are ±1/(2β) nats; 1e-3 in its paper"
            ),
        },
        learning_rate=5e-7,
        learning_rate_range=(5e-7, 1e-6),
        summary="SPPO with hard labels: chosen to +1/(2β), rejected to −1/(2β), each by itself",
        formula="(Δ_w − 1/(2β))² + (Δ_l + 1/(2β))²",
        rewards="βΔ, an estimate of the win rate less ½",
        at_start="1/(2β²)",
        when="In rounds of self-play: pairs sampled from the last round's policy, which is the "
        "reference. Also where the chosen log-prob must not fall with the rejected one.",
        when_not="On pairs that others wrote: ±500 nats, the default aims, are far out of reach.",
        pitfalls=(
            "The loss starts at 5·10⁵ at the default β: clipping of gradients sets the step.",
            "It is not the margin that counts: adding a constant to both log-ratios costs.",
            "Its authors' code halves the sum of both squares.",
        ),
        paper="Wu et al. 2024, arXiv:2405.00675",
    ),
    Objective(
        name="cal_dpo",
        loss=f"{_HOME}:cal_dpo",
        reward="preftune.objectives.rewards:log_ratio",
        data="pairs",
        settings={
            "beta": Setting(
                1e-3,
                BETA,
                "inverse of twice the aim: ±1/(2β) nats; 0.001 to 0.002 in its code",
            ),
            "calibration": Setting(
                0.5, NOT_NEGATIVE, "weight of the pull towards the aims; 0 is dpo at beta 1"
            ),
        },
        learning_rate=5e-7,
        learning_rate_range=(5e-7, 1e-6),
        summary="Cal-DPO: DPO at β 1, with the log-ratios pulled to ±1/(2β)",
        formula="softplus(−h) + c·[(Δ_w − 1/(2β))² + (Δ_l + 1/(2β))²]",
        rewards="βΔ, to be ±½",
        at_start="ln 2 + c/(2β²)",
        when="Where the log-prob of the chosen responses must rise, not only the margin.",
        when_not="As a small change of dpo: at the defaults the gradient is nearly all pull.",
        pitfalls=(
            "β is in the aims only; the logistic term has β 1.",
            "At the default β the pull outweighs the logistic term by about 1000 to 1 at the "
            "start: it is sppo_hard but for the last bit.",
        ),
        paper="Xiao et al. 2024, arXiv:2412.14516",
    ),
)
