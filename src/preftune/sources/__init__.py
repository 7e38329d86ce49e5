"""Files, folders and hub data sets become groups; nothing is dropped or changed silently."""

from preftune.sources.conversions import CONVERSIONS, Converted, convert
from preftune.sources.reading import Reading, announce, read
from preftune.sources.streaming import Stream, stream

__all__ = [
    "CONVERSIONS",
    "Converted",
    "Reading",
    "Stream",
    "announce",
    "convert",
    "read",
    "stream",
]
