"""Log-prob records, and the losses as pure functions of them: `preftune.objectives.dpo` and so on.

They are imported on first use: the catalogue beside them must not cost an import of torch.
"""

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from preftune.objectives.catalogue import CATALOGUE

if TYPE_CHECKING:
    from preftune.objectives.logprobs import LogProbs

__all__ = ["CATALOGUE", "LogProbs"]


def __getattr__(name: str) -> Any:
    if name == "LogProbs":
        return resolve_name("preftune.objectives.logprobs:LogProbs")
    if name in CATALOGUE:
        return resolve_name(CATALOGUE[name].loss)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *CATALOGUE])
