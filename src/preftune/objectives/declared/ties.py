"""Declarations of the losses that learn from ties too."""

from preftune.objectives.declaration import Objective
from preftune.objectives.settings import ABOVE_ONE, BETA, POSITIVE, Setting

_HOME = "preftune.objectives.losses.ties"
_REWARD = "preftune.objectives.rewards:log_ratio"
_BETA = Setting(
    0.1, BETA, "tie to the reference, per nat; larger holds nearer; 0.01 to 0.5 is usual"
)
_PAPER = "Chen et al. 2024, arXiv:2409.17431"

OBJECTIVES = (
    Objective(
        name="rao_kupper",
        loss=f"{_HOME}:rao_kupper",
        reward=_REWARD,
        data="ties",
        settings={
            "beta": _BETA,
            "nu": Setting(
                3.0, ABOVE_ONE, "tendency to ties; 3 makes a tie as likely as not where d = 0"
            ),
        },
        learning_rate=1e-6,
        learning_rate_range=(5e-7, 1e-6),
        summary="DPO with ties after Rao and Kupper: a win needs a lead of ln ν",
        formula="win: softplus(−(βh − ln ν)); tie: softplus(−(βh − ln ν)) + softplus(βh + ln ν) "
        "− ln(ν² − 1)",
        rewards="βΔ",
        at_start="win: ln(1 + ν); tie: 2·ln(1 + ν) − ln(ν² − 1)",
        when="Where judges called many pairs equally good: leaving those out wastes them, and dpo "
        "would make a winner of one.",
        when_not="Without ties in the data: then it is dpo that asks for ln ν more.",
        pitfalls=(
            "ν stays above 1: at 1 a tie is impossible, and its loss infinite.",
            "Ties hold the margin at 0, so a file of mostly ties holds the policy near the "
            "reference.",
        ),
        paper=_PAPER,
    ),
    Objective(
        name="davidson",
        loss=f"{_HOME}:davidson",
        reward=_REWARD,
        data="ties",
        settings={
            "beta": _BETA,
            "nu": Setting(
                1.0, POSITIVE, "tendency to ties; 1 makes a tie as likely as not where d = 0"
            ),
        },
        learning_rate=1e-6,
        learning_rate_range=(5e-7, 1e-6),
        summary="DPO with ties after Davidson: rarer the more the rewards differ, no threshold",
        formula="win: ln(1 + exp(−d) + 2ν·exp(−d/2)); tie: the same + d/2 − ln 2ν; d = βh",
        rewards="βΔ",
        at_start="win: ln(2 + 2ν); tie: ln(2 + 2ν) − ln 2ν",
        when="As rao_kupper, where ties should be milder: tie and win change more slowly with h.",
        when_not="Without ties in the data.",
        pitfalls=(
            "ν stays above 0: at 0 a tie is impossible, and its loss infinite.",
            "Ties hold the margin at 0, so a file of mostly ties holds the policy near the "
            "reference.",
        ),
        paper=_PAPER,
    ),
)
