"""Prompts to responses."""

from preftune.generation.sampling import generate

__all__ = ["generate"]
