"""The data examination: is this data worth training on?"""

from preftune.checks.examine import examine

__all__ = ["examine"]
