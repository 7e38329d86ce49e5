"""Log-prob records, and the losses as pure functions of them.

They are imported on first use: the catalogue beside them must not cost an import of torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from preftune.objectives.likelihood import sft
    from preftune.objectives.logprobs import LogProbs
    from preftune.objectives.pairwise import dpo

__all__ = ["LogProbs", "dpo", "sft"]

_HOMES = {"LogProbs": "logprobs", "dpo": "pairwise", "sft": "likelihood"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"preftune.objectives.{_HOMES[name]}"), name)
