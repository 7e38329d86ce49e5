"""Log-prob records, and the losses as pure functions of them: `preftune.objectives.dpo` and so on.

They are imported on first use: the catalogue beside them must not cost an import of torch.
"""

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from preftune.objectives.catalogue import CATALOGUE

if TYPE_CHECKING:
    from preftune.objectives.logprobs import LogProbs
    from preftune.objectives.losses.adaptive import alpha_dpo, beta_dpo
    from preftune.objectives.losses.anchored import apo_down, apo_zero, dpo_nll, dpop, nca
    from preftune.objectives.losses.divergence import (
        dpo_alpha_divergence,
        dpo_forward_kl,
        dpo_jensen_shannon,
    )
    from preftune.objectives.losses.length import dpo_norm, ld_dpo, len_dpo
    from preftune.objectives.losses.likelihood import sft, unlikelihood
    from preftune.objectives.losses.logistic import discopop, dpo, exo, hinge, robust_dpo
    from preftune.objectives.losses.offset import modpo, odpo, odpo_linear
    from preftune.objectives.losses.rankings import exo_scores, infonca, nca_scores, plackett_luce
    from preftune.objectives.losses.reference_free import alphapo, cpo, orpo, simpo, slic
    from preftune.objectives.losses.regression import cal_dpo, ipo_mean, ipo_sum, sppo_hard
    from preftune.objectives.losses.step import aot, aot_unpaired
    from preftune.objectives.losses.thumbs import bco, kto
    from preftune.objectives.losses.ties import davidson, rao_kupper
    from preftune.objectives.losses.vocabulary import tdpo1, tdpo2, wpo

__all__ = [
    "CATALOGUE",
    "LogProbs",
    "alpha_dpo",
    "alphapo",
    "aot",
    "aot_unpaired",
    "apo_down",
    "apo_zero",
    "bco",
    "beta_dpo",
    "cal_dpo",
    "cpo",
    "davidson",
    "discopop",
    "dpo",
    "dpo_alpha_divergence",
    "dpo_forward_kl",
    "dpo_jensen_shannon",
    "dpo_nll",
    "dpo_norm",
    "dpop",
    "exo",
    "exo_scores",
    "hinge",
    "infonca",
    "ipo_mean",
    "ipo_sum",
    "kto",
    "ld_dpo",
    "len_dpo",
    "modpo",
    "nca",
    "nca_scores",
    "odpo",
    "odpo_linear",
    "orpo",
    "plackett_luce",
    "rao_kupper",
    "robust_dpo",
    "sft",
    "simpo",
    "slic",
    "sppo_hard",
    "tdpo1",
    "tdpo2",
    "unlikelihood",
    "wpo",
]


def __getattr__(name: str) -> Any:
    if name == "LogProbs":
        return resolve_name("preftune.objectives.logprobs:LogProbs")
    if name in CATALOGUE:
        return resolve_name(CATALOGUE[name].loss)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
