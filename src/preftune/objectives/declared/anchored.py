"""Declarations of the losses that hold on to the chosen response's own log-prob."""

from preftune.objectives.declaration import Objective
from preftune.objectives.settings import BETA, NOT_NEGATIVE, Setting

_HOME = "preftune.objectives.losses.anchored"

OBJECTIVES = (
    Objective(
        name="dpo_nll",
        loss=f"{_HOME}:dpo_nll",
        reward="preftune.objectives.rewards:log_ratio",
        data="pairs",
        settings={
            "beta": Setting(0.1, BETA, "tie to the reference, per nat; larger holds nearer"),
            "alpha": Setting(
                1.0,
                NOT_NEGATIVE,
                "weight of the chosen response's likelihood per token; 0.2 in Llama 3",
            ),
        },
        learning_rate=7e-7,
        learning_rate_range=(5e-7, 1e-5),
        summary="DPO plus the likelihood of the chosen response (iterative reasoning, Llama 3)",
        formula="softplus(−βh) + α·NLL_w/|w|",
        rewards="βΔ",
        at_start="ln 2 + α·NLL_w/|w|",
        when="Where the chosen log-prob must not fall: reasoning and exact answers. On Llama-2-70B "
        "one round of it gave 73.1 on GSM8K, DPO alone 61.8.",
        when_not="Where chosen responses are no better than what the model writes already: they "
        "are imitated too.",
        pitfalls=(
            "The paper divides by the length of prompt and response, here it is the response's "
            "alone: with long prompts the same alpha weighs more.",
            "In some tools the likelihood is a mean over the batch's tokens instead, so that long "
            "responses weigh more.",
        ),
        paper="Pang et al. 2024, arXiv:2404.19733; Llama 3: arXiv:2407.21783; as a regulariser: "
        "Liu et al. 2024, arXiv:2405.16436",
    ),
    Objective(
        name="dpop",
        loss=f"{_HOME}:dpop",
        reward="preftune.objectives.rewards:log_ratio",
        data="pairs",
        settings={
            "beta": Setting(0.3, BETA, "tie to the reference, per nat; larger holds nearer"),
            "lam": Setting(
                50.0,
                NOT_NEGATIVE,
                "weight of the chosen response's fall below the reference; 5 to 500 were similar",
            ),
        },
        learning_rate=5e-7,
        learning_rate_range=(5e-7, 1e-6),
        summary="DPO-Positive (Smaug): the chosen response may not fall below the reference",
        formula="softplus(−β(h − λ·max(0, −Δ_w)))",
        rewards="βΔ",
        at_start="ln 2",
        when="Where the two responses differ in few tokens (a wrong digit, an edit): there DPO "
        "lowers what they share.",
        when_not="Where chosen responses are worse than what the model writes: they should fall.",
        pitfalls=(
            "Below the reference the slope is β(1 + λ), 15.3 by default: clip the gradient.",
            "At the start every chosen response stands exactly on the kink.",
            "It compares more than βΔ: accuracy and margins in the log are those of DPO.",
        ),
        paper="Pal et al. 2024, arXiv:2402.13228",
    ),
    Objective(
        name="nca",
        loss=f"{_HOME}:nca",
        reward="preftune.objectives.rewards:log_ratio",
        data="pairs",
        settings={
            "beta": Setting(0.01, BETA, "tie to the reference, per nat; 0.01 to 0.1 published"),
        },
        learning_rate=5e-7,
        learning_rate_range=(5e-7, 1e-6),
        summary="noise-contrastive alignment of pairs: the chosen response has a target of its own",
        formula="softplus(−r_w) + ½softplus(r_w) + ½softplus(r_l),  r = βΔ",
        rewards="βΔ",
        at_start="2 ln 2",
        when="Where the chosen log-prob must not fall, as in reasoning: its reward is drawn to "
        "ln 2 whatever the rejected one does (Mixtral on UltraInteract, mean of 8 benchmarks: "
        "SFT 56.3, DPO 50.1, NCA 57.9).",
        when_not="Where only the order matters and margins should grow large.",
        pitfalls=(
            "Not a function of the margin: adding the same to both log-ratios changes the loss.",
        ),
        paper="Chen et al. 2024, arXiv:2402.05369",
    ),
    Objective(
        name="apo_zero",
        loss=f"{_HOME}:apo_zero",
        reward="preftune.objectives.rewards:log_ratio",
        data="pairs",
        settings={
            "beta": Setting(0.1, BETA, "tie to the reference, per nat; 0.05 to 0.1 published"),
        },
        learning_rate=2e-7,
        learning_rate_range=(2e-7, 1e-6),
        summary="APO-zero: chosen responses become likelier, rejected ones less likely",
        formula="1 − σ(r_w) + σ(r_l),  r = βΔ",
        rewards="βΔ",
        at_start="1",
        when="Where chosen responses are better than what the model writes, such as a stronger "
        "model's.",
        when_not="Where they are worse than the model's own (apo_down).",
        pitfalls=(
            "It saturates on both sides: a pair that is badly wrong teaches as little as one that "
            "is solved.",
        ),
        paper="D'Oosterlinck et al. 2024, arXiv:2408.06266",
    ),
    Objective(
        name="apo_down",
        loss=f"{_HOME}:apo_down",
        reward="preftune.objectives.rewards:log_ratio",
        data="pairs",
        settings={
            "beta": Setting(0.1, BETA, "tie to the reference, per nat; 0.05 to 0.1 published"),
        },
        learning_rate=2e-7,
        learning_rate_range=(2e-7, 1e-6),
        summary="APO-down: both responses become less likely, the rejected one more so",
        formula="σ(r_w) + 1 − σ(βh),  r = βΔ",
        rewards="βΔ",
        at_start="1",
        when="Where even the chosen responses are worse than what the model writes.",
        when_not="Where the chosen responses are to be learnt from (apo_zero): they are made "
        "unlikely here.",
        pitfalls=(
            "`displacement` in the log rises by design.",
            "It saturates: of pairs far out on either side nothing more is learnt.",
        ),
        paper="D'Oosterlinck et al. 2024, arXiv:2408.06266",
    ),
)
