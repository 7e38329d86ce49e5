"""Files, folders and hub data sets become groups; nothing is dropped or changed silently."""

from preftune.sources.reading import Reading, announce, read

__all__ = ["Reading", "announce", "read"]
