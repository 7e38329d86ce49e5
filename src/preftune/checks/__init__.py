"""The data examination: is this data worth training on?"""

from preftune.checks.examine import examine, longer_wins

__all__ = ["examine", "longer_wins"]
