"""Successive halving: who goes on, by held-out accuracy."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from preftune.records import Silent
from preftune.sweeps.folder import SweepFolder
from preftune.sweeps.runs import Run
from preftune.training.folder import RunFolder
from preftune.training.metrics import read_metrics
from preftune.training.prepare import sampler_of
from preftune.training.run import TrainResult
from preftune.training.runfile import bind_objective
from preftune.training.shared import Shared

SHARES = (4, 2)
"""After one fourth of the steps, and again after one half, the better half goes on."""

FEWEST = 2
"""Settings that go on to the end at least, so that there is something to compare."""


class Halving:
    """Which runs are still going, by one half of the held-out prompts.

    The other half is for the choice: runs that were picked by the same prompts as they are compared
    on would look better than they are, and no interval would know.

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
        return None if stop is None else TrainResult(**stop["result"])

    def keep(self, run: Run, share: int, result: TrainResult) -> None:
        """Remember what was measured at this stop."""
        entries = read_metrics(RunFolder(run.settings.out).metrics)
        early = [entry for entry in entries if entry["split"] == "held_out_early"]
        stop = {"result": asdict(result), "early": early[-1] if early else None}
        self._stops.setdefault(f"1/{share}", {})[run.name] = stop
        self._folder.write_stops(self._stops)

    def halve(self, share: int) -> str:
        """Let the better half of the settings go on, and say which.

        The seeds of a setting stay together. What is finished already stays, as it costs nothing;
        then the higher accuracy decides, then the smaller loss.
        """
        settings: dict[str, list[Run]] = {}
        for run in self.going:
            settings.setdefault(run.setting, []).append(run)
        alive = [name for name, runs in settings.items() if all(self.known(r, share) for r in runs)]
        done = [name for name in alive if any(not self._early(r, share) for r in settings[name])]
        others = [name for name in alive if name not in done]
        others.sort(key=lambda name: self._rank(settings[name], share))
        places = max(FEWEST, math.ceil(len(alive) / 2)) - len(done)
        kept = {*done, *others[: max(0, places)]}
        self.going = [run for run in self.going if run.setting in kept]
        if not kept:
            return f"no run goes on after 1/{share} of the steps: all failed."
        named = ", ".join(name for name in settings if name in kept)
        return f"going on after 1/{share} of the steps: {named}"

    def _early(self, run: Run, share: int) -> dict[str, Any] | None:
        """The figures that decide; none of a run that had been finished before."""
        return self._stops[f"1/{share}"][run.name]["early"]

    def _rank(self, runs: Sequence[Run], share: int) -> tuple[float, float]:
        """Sums over as many seeds each."""
        figures = [early for run in runs if (early := self._early(run, share)) is not None]
        return -sum(one["accuracy"] for one in figures), sum(one["loss"] for one in figures)
