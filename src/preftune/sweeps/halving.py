"""Successive halving: who goes on, by held-out accuracy."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from preftune.records import Silent
from preftune.sweeps.folder import SweepFolder
from preftune.sweeps.runs import Run
from preftune.training.prepare import sampler_of
from preftune.training.run import TrainResult
from preftune.training.runfile import bind_objective
from preftune.training.shared import Shared

SHARES = (4, 2)
"""After one fourth of the steps, and again after one half, the better half goes on."""

FEWEST = 2
"""Settings that go on to the end at least, so that there is something to compare."""


class Halving:
    """Which runs are still going.

    What was measured at each stop is kept in the sweep's folder: repeating the command decides the
    same, although the runs have gone on since.

    References:
        Jamieson and Talwalkar 2016, arXiv:1502.07943.
    """

    def __init__(self, folder: SweepFolder, runs: Sequence[Run], shared: Shared) -> None:
        self._folder, self._shared = folder, shared
        self.going = list(runs)
        self._stops: dict[str, dict[str, Any]] = folder.read_stops()

    def until(self, run: Run, share: int) -> int:
        """The step that is one `share`-th of the run."""
        settings = run.settings
        data = self._shared.material(settings, bind_objective(settings), Silent()).data
        return math.ceil(sampler_of(settings, data).num_steps / share)

    def known(self, run: Run, share: int) -> TrainResult | None:
        """What an earlier call measured at this stop."""
        stop = self._stops.get(f"1/{share}", {}).get(run.name)
        return None if stop is None else TrainResult(**stop)

    def keep(self, run: Run, share: int, result: TrainResult) -> None:
        """Remember what was measured at this stop."""
        self._stops.setdefault(f"1/{share}", {})[run.name] = asdict(result)
        self._folder.write_stops(self._stops)

    def halve(self, share: int) -> str:
        """Let the better half of the settings go on, and say which.

        The seeds of a setting stay together. Runs that are finished already go on first; then the
        higher accuracy decides, then the smaller loss.
        """
        settings: dict[str, list[Run]] = {}
        for run in self.going:
            settings.setdefault(run.setting, []).append(run)
        alive = [name for name, runs in settings.items() if all(self.known(r, share) for r in runs)]
        order = sorted(alive, key=lambda name: self._rank(settings[name], share))
        kept = set(order[: max(FEWEST, math.ceil(len(order) / 2))])
        self.going = [run for run in self.going if run.setting in kept]
        return (
            f"going on after 1/{share} of the steps: {', '.join(n for n in settings if n in kept)}"
        )

    def _rank(self, runs: Sequence[Run], share: int) -> tuple[bool, float, float]:
        results = [result for run in runs if (result := self.known(run, share)) is not None]
        accuracy = sum(result.held_out["accuracy"] for result in results) / len(results)
        loss = sum(result.held_out["loss"] for result in results) / len(results)
        return not all(result.finished for result in results), -accuracy, loss
