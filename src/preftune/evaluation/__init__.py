"""Is the tuned model better, by how much, and at what price?"""

from preftune.evaluation.comparison import compare
from preftune.evaluation.results import Change, Comparison, PairChange, Sample

__all__ = ["Change", "Comparison", "PairChange", "Sample", "compare"]
