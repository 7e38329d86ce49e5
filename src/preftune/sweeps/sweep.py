"""`sweep`: train every run of a grid, in turn or by halves, then say which to take."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from preftune.errors import RunError
from preftune.records import Silent, Watch
from preftune.sweeps.checks import check_halving, check_held_out, too_few_to_choose
from preftune.sweeps.compare import compare
from preftune.sweeps.folder import SweepFolder
from preftune.sweeps.halving import SHARES, Halving
from preftune.sweeps.judge import Judge
from preftune.sweeps.result import Outcome, SweepResult, to_json
from preftune.sweeps.runs import Run
from preftune.training.folder import RunFolder
from preftune.training.lora import check_lora
from preftune.training.run import TrainResult, finished_result, train
from preftune.training.runfile import bind_objective
from preftune.training.shared import Shared

KL_SAMPLES = 64
"""Held-out prompts that are sampled from, where nobody says otherwise."""


def sweep(
    root: Path,
    runs: Sequence[Run],
    watch: Watch | None = None,
    *,
    halving: bool = False,
    kl_samples: int = KL_SAMPLES,
    trust_remote_code: bool = False,
) -> SweepResult:
    """Train all runs, each as `train` would alone; compare them; repeat the call to go on.

    Args:
        root: Folder of the sweep; each run has its own below it.
        runs: From `resolve_runs`.
        watch: Told of the progress.
        halving: Stop the worse half after a quarter of the steps, and again after half of them, by
            one half of the held-out prompts; the others are for the choice.
        kl_samples: Held-out prompts sampled from for each run; 0: the KL is not measured.
        trust_remote_code: Run code that comes with the models.

    Raises:
        PreftuneError: as `train`. A run whose loss is no longer finite (PT500) is noted, and the
            sweep goes on without it.
    """
    watch = watch or Silent()
    folder = SweepFolder(root)
    folder.check()
    if halving:
        check_halving(runs)
    for run in runs:
        RunFolder(run.settings.out).check(run.resolved)
    work = _Work(
        folder,
        list(runs),
        watch,
        kl_samples=kl_samples,
        halving=halving,
        trust_remote_code=trust_remote_code,
    )
    work.prepare()
    interrupted = work.train_by_halves() if halving else work.train_all()
    if interrupted is not None:
        return work.result(interrupted=interrupted)
    return work.compare()


class _Work:
    """One call of `sweep`: what it is given, and how far each run is."""

    def __init__(
        self,
        folder: SweepFolder,
        runs: list[Run],
        watch: Watch,
        *,
        kl_samples: int,
        halving: bool,
        trust_remote_code: bool,
    ) -> None:
        self.folder, self.runs, self.watch, self.kl_samples = folder, runs, watch, kl_samples
        self.halving = halving
        self.trust_remote_code = trust_remote_code
        self.shared = Shared(trust_remote_code=trust_remote_code)
        self.results: dict[str, TrainResult] = {}
        self.errors: dict[str, str] = {}

    def prepare(self) -> None:
        """Read all data and refuse what can't be compared, before anything is trained."""
        done = [run for run in self.runs if finished_result(RunFolder(run.settings.out))]
        also = f", {len(done)} of them finished" if done else ""
        self.watch.say(f"{len(self.runs)} runs in {self.folder.root}{also}.")
        known: set[str] = set()
        warning: str | None = None
        for run in self.runs:
            if run in done and self.folder.measured(run, self.kl_samples) is not None:
                continue
            fits = f"{run.settings.model} {run.settings.lora}"
            if fits not in known:
                check_lora(run.settings, trust_remote_code=self.trust_remote_code)
                known.add(fits)
            objective = bind_objective(run.settings)
            data = self.shared.material(run.settings, objective, self.watch).data
            check_held_out(run, data.held_out, halving=self.halving)
            warning = warning or too_few_to_choose(run, data.held_out, halving=self.halving)
        if warning is not None:
            self.watch.say(warning)
        self.write(self.result())

    def train_all(self) -> int | None:
        """Every run to its end. Returns the signal that asked to stop, if one did."""
        for number, run in enumerate(self.runs, 1):
            self.watch.say(f"run {number} of {len(self.runs)}: {run.name}")
            interrupted = self.train(run)
            if interrupted is not None:
                return interrupted
        return None

    def train_by_halves(self) -> int | None:
        """As `train_all`, but only the better half goes on after each stop."""
        halving = Halving(self.folder, self.runs, self.shared)
        for share in SHARES:
            for run in halving.going:
                known = halving.known(run, share)
                if known is not None:
                    self.results[run.name] = known
                    continue
                until = halving.until(run, share)
                self.watch.say(f"to step {until:,}, 1/{share} of the run: {run.name}")
                interrupted = self.train(run, until)
                if interrupted is not None:
                    return interrupted
                if run.name not in self.errors:
                    halving.keep(run, share, self.results[run.name])
            self.watch.say(halving.halve(share))
        for run in halving.going:
            self.watch.say(f"to the end: {run.name}")
            interrupted = self.train(run)
            if interrupted is not None:
                return interrupted
        return None

    def train(self, run: Run, until: int | None = None) -> int | None:
        """One run; a loss that is no longer finite ends it, not the sweep."""
        try:
            result = train(
                run.resolved,
                self.watch,
                trust_remote_code=self.trust_remote_code,
                until=until,
                shared=self.shared,
            )
        except RunError as error:
            if error.code != "PT500":
                raise
            self.watch.say(f"{run.name} failed: {error.problem}")
            self.errors[run.name] = error.problem
            return None
        self.results[run.name] = result
        self.write(self.result())
        return result.interrupted

    def compare(self) -> SweepResult:
        """Measure what finished, choose, draw, and write it all down."""
        self.shared.forget_policy()
        finished = [run for run in self.runs if self.outcome(run).state == "finished"]
        judge = Judge(self.shared, self.kl_samples, trust_remote_code=self.trust_remote_code)
        result = compare(self.result(), finished, judge, self.folder, self.watch)
        self.write(result)
        return result

    def outcome(self, run: Run) -> Outcome:
        """How far one run is."""
        start = Outcome(
            name=run.name,
            setting=run.setting,
            values=dict(run.values),
            out=str(run.settings.out),
            error=self.errors.get(run.name),
        )
        result = self.results.get(run.name)
        if result is None:
            return replace(start, state="failed") if start.error else start
        state = "failed" if start.error else "finished" if result.finished else "stopped"
        return replace(
            start,
            state=state,
            steps=result.steps,
            num_steps=result.num_steps,
            held_out=result.held_out,
        )

    def result(self, interrupted: int | None = None) -> SweepResult:
        """What is known so far."""
        outcomes = [self.outcome(run) for run in self.runs]
        return SweepResult(
            out=str(self.folder.root), runs=outcomes, halved=self.halving, interrupted=interrupted
        )

    def write(self, result: SweepResult) -> None:
        """Write `sweep.json`."""
        self.folder.write(to_json(result))
