"""Log-prob records, and the losses as pure functions of them.

`LogProbs` is imported on first use: the catalogue beside it must not cost an import of torch.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from preftune.objectives.logprobs import LogProbs

__all__ = ["LogProbs"]


def __getattr__(name: str) -> object:
    if name == "LogProbs":
        from preftune.objectives.logprobs import LogProbs

        return LogProbs
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
