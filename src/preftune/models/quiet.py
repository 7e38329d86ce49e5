"""Keeping transformers' own talk away from the user: what matters is said as errors of ours."""

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from logging import CRITICAL


@contextmanager
def quiet() -> Generator[None]:
    """No warnings, log lines or progress bars of transformers; the settings come back after."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity(CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
