"""Declarations of the losses of log-probs alone."""

from preftune.objectives.declaration import Objective
from preftune.objectives.settings import NOT_NEGATIVE, Setting

_HOME = "preftune.objectives.losses.likelihood"

OBJECTIVES = (
    Objective(
        name="sft",
        loss=f"{_HOME}:sft",
        reward="preftune.objectives.rewards:log_prob",
        data="demonstrations",
        unit="response",
        reference="none",
        denominator="tokens",
        learning_rate=2e-5,
        learning_rate_range=(2e-6, 2e-5),
        summary="supervised fine-tuning: make the good responses likely",
        formula="−Σₜ log π(yₜ | x, y₍<t₎)",
        rewards="log π(y | x)",
        at_start="the model's own loss per token",
        when="First, to give the reference; on the chosen side of pairs it is the Preferred-FT "
        "baseline that every preference objective should beat.",
        when_not="To learn what to avoid: rejected responses are not seen.",
        pitfalls=(
            "The loss is a mean over tokens of the whole step, so long responses weigh more.",
        ),
        paper="Ouyang et al. 2022, arXiv:2203.02155, section 3.5",
    ),
    Objective(
        name="unlikelihood",
        loss=f"{_HOME}:unlikelihood",
        reward="preftune.objectives.rewards:log_prob",
        data="pairs",
        reference="none",
        settings={
            "alpha": Setting(
                0.1,
                NOT_NEGATIVE,
                "weight of the rejected response; 0.05 to 1 was tried, 0 is SFT on the chosen",
            ),
        },
        learning_rate=5e-7,
        learning_rate_range=(5e-7, 1e-6),
        summary="make chosen responses likely and rejected ones unlikely, without end",
        formula="−ℓ_w + α·ℓ_l",
        rewards="ℓ",
        at_start="NLL_w − α·NLL_l, in nats of whole responses: negative values are possible",
        when="As the baseline that DPO was compared with, and nothing else.",
        when_not="Wherever the model has to stay usable: it wrote degenerate text on summarisation "
        "(TL;DR), so its authors left it out there.",
        pitfalls=(
            "Unbounded below: the slopes are −1 and α wherever the policy stands, so the rejected "
            "log-prob falls for as long as training goes on.",
            "A sum over tokens: long responses weigh more.",
        ),
        paper="Rafailov et al. 2023, arXiv:2305.18290, appendix C.3; token-level original: "
        "Welleck et al. 2019, arXiv:1908.04319",
    ),
)
