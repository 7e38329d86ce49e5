"""Ctrl-C and SIGTERM: finish the step, save, say how to resume. A second one ends at once."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Whether somebody asked to stop, and with which signal."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        """True once a stop was asked for."""
        return self.signal is not None


@contextmanager
def interruptible(say: Callable[[str], None]) -> Generator[Interruption]:
    """Turn the first SIGINT or SIGTERM into a wish that the loop reads between its steps.

    Outside the main thread Python allows no signal handlers, and none are set.
    """
    wish = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if wish.signal is not None:
            raise SystemExit(128 + number)
        wish.signal = number
        say("stopping after this step, then saving; a second signal ends at once.")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
