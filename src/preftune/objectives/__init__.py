"""Log-prob records and the losses as pure functions of them."""

from preftune.objectives.logprobs import LogProbs

__all__ = ["LogProbs"]
