"""How severe a share is."""

from preftune.records import Severity


def graded(share: float, *, warning: float, error: float = float("inf")) -> Severity:
    """`info` below the share that is a warning.

    Example:
        >>> graded(0.02, warning=0.01, error=0.2).name
        'warning'
    """
    if share >= error:
        return Severity.error
    return Severity.warning if share >= warning else Severity.info
