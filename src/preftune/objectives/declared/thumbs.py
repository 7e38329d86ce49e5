"""Declarations of the losses of single responses with a thumb up or down."""

from preftune.objectives.declaration import Objective
from preftune.objectives.settings import BELOW_ONE, BETA, NOT_NEGATIVE, Setting

_HOME = "preftune.objectives.losses.thumbs"

OBJECTIVES = (
    Objective(
        name="kto",
        loss=f"{_HOME}:kto",
        reward="preftune.objectives.rewards:log_ratio",
        data="thumbs",
        unit="response",
        scope="step",
        denominator="responses",
        mismatched=True,
        soft=False,
        settings={
            "beta": Setting(
                0.1,
                BETA,
                "tie to the reference, per nat; 0.01 to 0.1 after SFT on the same data, 0.1 to 0.5 "
                "from an aligned model",
            ),
            "desirable_weight": Setting(
                1.0,
                NOT_NEGATIVE,
                "weight of thumbs up; weight times number should be 1 to 1.5 of that of the others",
            ),
            "undesirable_weight": Setting(1.0, NOT_NEGATIVE, "weight of thumbs down"),
        },
        learning_rate=5e-6,
        learning_rate_range=(1e-6, 5e-6),
        summary="KTO: responses judged alone, each against how far the policy has moved elsewhere",
        formula="λ_D(1 − σ(β(Δ − z₀))) for good, λ_U(1 − σ(β(z₀ − Δ))) for bad responses,  "
        "z₀ = sg[max(0, mean Δ of responses to other prompts)]",
        rewards="βΔ",
        at_start="λ_D/2 for good, λ_U/2 for bad responses",
        when="For thumbs from users, where nothing was compared, and where one kind is rare: with "
        "nine tenths of the good responses left out it still beat DPO in the paper (Llama-7B).",
        when_not="Where pairs are clean: a pair says more than two thumbs.",
        pitfalls=(
            "It saturates: responses far above or below z₀ teach nothing, also the hopeless ones.",
            "z₀ is of the whole optimiser step, so it needs some responses in each: a few dozen.",
            "It scores every prompt also with the response of another one, for z₀: more work a "
            "step.",
        ),
        paper="Ethayarajh et al. 2024, arXiv:2402.01306",
    ),
    Objective(
        name="bco",
        loss=f"{_HOME}:bco",
        reward="preftune.objectives.rewards:log_ratio",
        data="thumbs",
        unit="response",
        scope="step",
        denominator="responses",
        running=f"{_HOME}:bco_shift",
        soft=False,
        settings={
            "beta": Setting(0.1, BETA, "tie to the reference, per nat; 0.01 in the paper"),
            "memory": Setting(
                0.9, BELOW_ONE, "what a step leaves of the running means; 0: each step's own"
            ),
        },
        learning_rate=5e-7,
        learning_rate_range=(5e-7, 1e-6),
        summary="BCO: a classifier of good and bad responses whose logit is the implicit reward",
        formula="softplus(−(βΔ − δ)) for good, softplus(βΔ − δ) for bad responses,  "
        "δ = sg[half the sum of the running mean βΔ of good and of bad ones]",
        rewards="βΔ",
        at_start="ln 2 for each response",
        when="For thumbs, where badly wrong responses should go on teaching (KTO ignores them).",
        when_not="Where good and bad thumbs come from different prompts it may learn the prompts: "
        "data.match_prompts=true weighs the bad ones against that, as the paper does.",
        pitfalls=(
            "How fast δ runs is not in the paper: `memory` is our choice.",
            "With thumbs of one kind only, the other half of δ stays at 0.",
            "It is divided by responses: in a mixture with a pair loss a pair counts the mean of "
            "its two sides, where other tools' bco_pair counts their sum.",
        ),
        paper="Jung et al. 2024, arXiv:2404.04656",
    ),
)
