"""Shared-prompt packing, token budgets and the resumable sampler."""

from preftune.batching.layout import Batch, Segment, pack
from preftune.batching.sampler import Sampler, fill

__all__ = ["Batch", "Sampler", "Segment", "fill", "pack"]
