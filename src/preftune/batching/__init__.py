"""Shared-prompt packing, token budgets and the resumable sampler."""

from preftune.batching.layout import Batch, Segment, pack

__all__ = ["Batch", "Segment", "pack"]
