"""Marks of all tests that run TRL."""

from importlib.util import find_spec

import pytest

WITH_TRL = [
    pytest.mark.skipif(
        find_spec("trl") is None,
        reason='TRL is not installed: pip install -c constraints.txt -e ".[dev,bench]"',
    ),
    # TRL sets the old name of an option of transformers; we ask it for nothing.
    pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:You are importing from 'trl.experimental'"),
]
