"""Responses to verdicts."""

from preftune.judging.scorer import Scorer
from preftune.judging.sentiment import SentimentScorer

__all__ = ["Scorer", "SentimentScorer"]
