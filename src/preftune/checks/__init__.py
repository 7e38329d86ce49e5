"""The data examination: what will a model learn from this, and is it what was meant?"""

from preftune.checks.run import check

__all__ = ["check"]
