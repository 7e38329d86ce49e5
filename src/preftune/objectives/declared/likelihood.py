"""Declarations of the losses of single responses."""

from preftune.objectives.declaration import Objective

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
)
