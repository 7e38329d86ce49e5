"""Contestants in processes of their own, who work one at a time."""

import multiprocessing
import os
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.step.contestant import Conditions, Contestant
from benchmarks.step.data import Pair

Batches = Sequence[Sequence[Pair]]


class DiedError(RuntimeError):
    """The process of a contestant ended: out of memory, mostly."""


@dataclass(frozen=True)
class Step:
    """What one optimiser step took."""

    batch: int
    """Number in the schedule."""
    seconds: float
    loss: float
    peak: int
    """Bytes at most held so far, above what was held before the model was loaded."""


class Turns:
    """A contestant's side: told when to work, it says what it took."""

    def __init__(self, connection: Connection, batches: int) -> None:
        self._connection = connection
        self._batches = batches
        self._done = 0
        self._start = 0.0

    def ready(self) -> bool:
        """Wait for the first turn. False: there is none."""
        self._connection.send(None)
        return self._wait()

    def took(self, loss: Any, peak: Any) -> bool:
        """The step is over; wait for the next turn. False: there is none.

        Args:
            loss: Gives the step's loss, once the clock has stopped.
            peak: Gives the bytes held at most.
        """
        seconds = time.perf_counter() - self._start
        step = Step(self._done % self._batches, seconds, float(loss()), peak())
        self._done += 1
        self._connection.send(step)
        return self._wait()

    def _wait(self) -> bool:
        go = self._connection.recv()
        self._start = time.perf_counter()
        return bool(go)


class Worker:
    """The other side: a process that holds a contestant."""

    def __init__(self, contestant: Contestant, conditions: Conditions, batches: Batches) -> None:
        self.contestant = contestant
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_work, args=(theirs, contestant, conditions, batches), daemon=True
        )
        threads = str(conditions.threads)
        settings = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "TQDM_DISABLE": "1"}
        with environment({**settings, **contestant.environment}):
            self._process.start()
        theirs.close()

    def ready(self) -> None:
        """Wait until the model is loaded and the reference scored."""
        self._receive()

    def step(self) -> Step:
        self._connection.send(True)
        return self._receive()

    def stop(self) -> None:
        """Let the process end, and wait for it."""
        if self._process.is_alive():
            self._connection.send(False)
            self._process.join(60)
        if self._process.is_alive():
            self._process.terminate()

    def _receive(self) -> Any:
        try:
            return self._connection.recv()
        except EOFError:
            self._process.join()
            raise DiedError(
                f"{self.contestant.name} ended with {self._process.exitcode}"
                + (" (killed: out of memory?)" if self._process.exitcode == -9 else "")
            ) from None


@contextmanager
def environment(settings: Mapping[str, str]) -> Generator[None]:
    """Set for processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _work(
    connection: Connection, contestant: Contestant, conditions: Conditions, batches: Batches
) -> None:
    """In the process."""
    import torch

    torch.set_num_threads(conditions.threads)
    turns = Turns(connection, len(batches))
    if contestant.kind == "trl":
        from benchmarks.step.theirs import run
    else:
        from benchmarks.step.ours import run
    run(contestant, conditions, batches, turns)


def alternate(
    contestants: Sequence[Contestant],
    conditions: Conditions,
    schedules: Sequence[Batches],
    *,
    rounds: int,
    warm: int = 1,
) -> list[list[Step]]:
    """Steps of all contestants, taking turns; warm-up steps are left out.

    Who goes first changes from round to round. On a GPU too small for all at once, call it with one
    contestant at a time.
    """
    workers = [
        Worker(contestant, conditions, batches)
        for contestant, batches in zip(contestants, schedules, strict=True)
    ]
    steps: list[list[Step]] = [[] for _ in workers]
    try:
        for worker in workers:
            worker.ready()
        for number in range(warm + rounds):
            order = range(len(workers))
            for index in order if number % 2 == 0 else reversed(order):
                steps[index].append(workers[index].step())
    finally:
        for worker in workers:
            worker.stop()
    return [taken[warm:] for taken in steps]
