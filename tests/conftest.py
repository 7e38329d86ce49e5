"""What all tests share: the real data beside the repository, where there is any."""

from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run, and no stop-watch: a slow machine is no failure.
settings.register_profile("preftune", derandomize=True, deadline=None, database=None)
settings.load_profile("preftune")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and models beside the repository; the test is skipped without it."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder
