"""Shared-prompt packing, token budgets and the resumable sampler."""

from preftune.batching.layout import Batch, Segment, pack, to_device
from preftune.batching.sampler import Sampler, fill, fill_windows

__all__ = ["Batch", "Sampler", "Segment", "fill", "fill_windows", "pack", "to_device"]
