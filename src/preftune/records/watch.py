"""How a stage tells of its progress, without knowing who listens."""

from typing import Protocol


class Watch(Protocol):
    """A listener to long work. The command line draws bars; a library user may stay silent."""

    def say(self, message: str) -> None:
        """A sentence for the person watching."""
        ...

    def begin(self, stage: str, total: int | None, done: int = 0) -> None:
        """A stage of `total` units starts (none: nobody knows how many), `done` of them already
        done by an earlier run.
        """
        ...

    def advance(self, done: int, note: str = "") -> None:
        """`done` units of the stage are done; `note` holds the figures of the moment."""
        ...

    def end(self) -> None:
        """The stage is over."""
        ...


class Silent:
    """Listens and says nothing."""

    def say(self, message: str) -> None:
        """Ignore."""

    def begin(self, stage: str, total: int | None, done: int = 0) -> None:
        """Ignore."""

    def advance(self, done: int, note: str = "") -> None:
        """Ignore."""

    def end(self) -> None:
        """Ignore."""
