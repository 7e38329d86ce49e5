"""Prompts to responses."""

from preftune.generation.sampling import end_ids, generate

__all__ = ["end_ids", "generate"]
