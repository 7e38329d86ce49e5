"""Tests mirror src/: `tests/<package>/test_<file>.py`."""
