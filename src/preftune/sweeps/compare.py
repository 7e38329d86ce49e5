"""The comparison: what finished is measured, chosen from and drawn."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from preftune.errors import ResourceError
from preftune.records import Watch
from preftune.sweeps.choice import choose, figures_of
from preftune.sweeps.folder import SweepFolder
from preftune.sweeps.held_out import HeldOut
from preftune.sweeps.judge import Judge
from preftune.sweeps.plots import plot_sweep
from preftune.sweeps.result import SweepResult
from preftune.sweeps.runs import Run


def compare(
    result: SweepResult, finished: Sequence[Run], judge: Judge, folder: SweepFolder, watch: Watch
) -> SweepResult:
    """The result with figures and choice, where the runs hold out pairs; with a plot, too.

    Args:
        result: How each run ended.
        finished: The runs to compare.
        judge: Measures what is not known yet.
        folder: Keeps what was measured.
        watch: Told of the progress.

    Raises:
        ResourceError: memory ran out (PT601).
    """
    measured: dict[str, list[HeldOut]] = {}
    watch.begin("comparing", len(finished))
    try:
        for number, run in enumerate(finished, 1):
            found = folder.measured(run, judge.kl_samples)
            if found is None:
                with enough_memory(run):
                    found = judge.measure(run)
                folder.keep(run, judge.kl_samples, found)
            if result.halved:
                found = found.for_the_choice()
            if found.pairs:
                measured.setdefault(run.setting, []).append(found)
            watch.advance(number)
    finally:
        watch.end()
    if not measured:
        return result
    figures = {name: figures_of(those) for name, those in measured.items()}
    choice = choose(measured, {name: one.kl for name, one in figures.items()})
    result = replace(result, figures=figures, choice=choice)
    return replace(result, plot=str(plot_sweep(result, folder.plot)))


@contextmanager
def enough_memory(run: Run) -> Generator[None]:
    """Turn running out of memory into what a user can do about it.

    Raises:
        ResourceError: PT601.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ResourceError(
            "PT601",
            f"memory ran out while {run.name} was compared.",
            where=str(run.settings.out),
            why="a batch of held-out pairs must fit beside the tuned model and, unless only an "
            "adapter was tuned, its start.",
            fix="repeat the command with a smaller --set tokens_per_batch=… or --kl-samples: what "
            "was trained and measured is kept.",
        ) from error
