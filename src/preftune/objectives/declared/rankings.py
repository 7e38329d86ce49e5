"""Declarations of the losses of several responses to a prompt, in order or rated."""

from preftune.objectives.declaration import Objective
from preftune.objectives.settings import BETA, POSITIVE, WHOLE, Setting

_HOME = "preftune.objectives.losses.rankings"

OBJECTIVES = (
    Objective(
        name="plackett_luce",
        loss=f"{_HOME}:plackett_luce",
        reward="preftune.objectives.rewards:log_ratio",
        data="rankings",
        unit="group",
        denominator="prompts",
        soft=False,
        settings={
            "beta": Setting(0.1, BETA, "tie to the reference, per nat; larger holds nearer"),
            "top_k": Setting(0.0, WHOLE, "number of best places that are learnt; 0: all"),
        },
        learning_rate=5e-7,
        learning_rate_range=(5e-7, 1e-6),
        summary="DPO of rankings: each response is chosen from itself and those below it",
        formula="−Σᵢ [rᵢ − log(e^rᵢ + Σ_{j below i} e^rⱼ)],  r = βΔ",
        rewards="βΔ",
        at_start="ln K! for K responses in order",
        when="For whole rankings: one loss of K responses instead of all their pairs.",
        when_not="Where only the best and worst of a ranking are reliable: make pairs of them.",
        pitfalls=(
            "Long rankings weigh more than short ones: a prompt counts once, its loss is up to "
            "ln K!.",
            "Tied responses are not compared with each other: each is chosen from itself and what "
            "is strictly below.",
            "It is not the mean of DPO over all pairs; both are sensible.",
        ),
        paper="Rafailov et al. 2023, arXiv:2305.18290, appendix A.3",
    ),
    Objective(
        name="infonca",
        loss=f"{_HOME}:infonca",
        reward="preftune.objectives.rewards:log_ratio",
        data="scores",
        unit="group",
        denominator="prompts",
        soft=False,
        settings={
            "beta": Setting(0.01, BETA, "tie to the reference, per nat; 0.01 to 0.1 published"),
            "temperature": Setting(
                1.0, POSITIVE, "of the targets, in the judge's units; small: only the best counts"
            ),
        },
        learning_rate=5e-7,
        learning_rate_range=(5e-7, 1e-6),
        summary="InfoNCA: the rewards of rated responses, as a distribution, match the ratings",
        formula="−Σᵢ tᵢ·log softmax(r)ᵢ,  r = βΔ,  t = softmax(score / temperature)",
        rewards="βΔ",
        at_start="ln K for K responses",
        when="For ratings whose distances mean something: DPO would only see their order.",
        when_not="Where log-probs must not fall: only differences count, as in DPO (nca_scores).",
        pitfalls=(
            "The temperature is in the judge's units: with scores from 1 to 10 and temperature 1 "
            "nearly all of the target is on the best.",
            "The authors' code takes 1 / temperature.",
        ),
        paper="Chen et al. 2024, arXiv:2402.05369",
    ),
    Objective(
        name="nca_scores",
        loss=f"{_HOME}:nca_scores",
        reward="preftune.objectives.rewards:log_ratio",
        data="scores",
        unit="group",
        denominator="prompts",
        soft=False,
        settings={
            "beta": Setting(0.01, BETA, "tie to the reference, per nat; 0.01 to 0.1 published"),
            "temperature": Setting(
                1.0, POSITIVE, "of the targets, in the judge's units; small: only the best counts"
            ),
        },
        learning_rate=5e-7,
        learning_rate_range=(5e-7, 1e-6),
        summary="NCA of rated responses: each one's own log-prob has a target",
        formula="−Σᵢ [tᵢ·log σ(rᵢ) + (1/K)·log σ(−rᵢ)],  r = βΔ,  t = softmax(score / temperature)",
        rewards="βΔ",
        at_start="2 ln 2, whatever K",
        when="For ratings, where the best responses' log-probs must not fall, as in reasoning.",
        when_not="Where only the order matters (plackett_luce, or pairs).",
        pitfalls=(
            "The temperature is in the judge's units: with scores from 1 to 10 and temperature 1 "
            "nearly all of the target is on the best.",
            "The authors' code takes 1 / temperature.",
        ),
        paper="Chen et al. 2024, arXiv:2402.05369",
    ),
    Objective(
        name="exo_scores",
        loss=f"{_HOME}:exo_scores",
        reward="preftune.objectives.rewards:log_ratio",
        data="scores",
        unit="group",
        denominator="prompts",
        soft=False,
        settings={
            "beta": Setting(0.1, BETA, "tie to the reference, per nat; larger holds nearer"),
            "temperature": Setting(0.1, POSITIVE, "of the targets, in the judge's units"),
        },
        learning_rate=1e-6,
        learning_rate_range=(5e-7, 1e-6),
        summary="EXO of rated responses: reverse KL to the ratings, which seeks the best ones",
        formula="KL(softmax(r) ‖ t),  r = βΔ,  t = softmax(score / temperature)",
        rewards="βΔ",
        at_start="Σᵢ log(1 / (K·tᵢ)) / K for K responses",
        when="For ratings from a reward model, where the policy should settle on the best instead "
        "of covering all.",
        when_not="Where badly ordered prompts must be put right: their gradient vanishes.",
        pitfalls=(
            "The temperature is in the judge's units: targets near 0 make the loss as large as "
            "score / temperature.",
        ),
        paper="Ji et al. 2024, arXiv:2402.00856",
    ),
)
