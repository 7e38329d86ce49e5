"""Files, folders and hub data sets become groups; nothing is dropped or changed silently."""

from preftune.sources.reading import Reading, read

__all__ = ["Reading", "read"]
