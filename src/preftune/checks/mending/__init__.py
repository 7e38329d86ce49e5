"""A mended copy of the data, and a log of every change."""
