"""Every combination as a run, validated before anything is loaded. Imports no torch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from preftune.errors import ConfigError
from preftune.sweeps.grid import Axis, combinations
from preftune.training.config import RunSettings
from preftune.training.folder import FREE
from preftune.training.runfile import Resolved, resolve

IDLE = (FREE - {"out"}) | {"save_every", "evaluate_every"}
"""Keys that change no result, beyond rounding."""


@dataclass(frozen=True, slots=True)
class Run:
    """One combination as a run of its own."""

    name: str
    setting: str
    """Its name without the seed: runs that share it are repetitions of each other."""
    values: Mapping[str, Any]
    """Key → value: what sets it apart from the other runs."""
    resolved: Resolved

    @property
    def settings(self) -> RunSettings:
        """Its whole configuration."""
        return self.resolved.settings


def resolve_runs(
    axes: Sequence[Axis],
    out: Path | None = None,
    *,
    run_file: Path | None = None,
    given: Mapping[str, Any] | None = None,
    sets: Sequence[str] = (),
    flags: Mapping[str, str] | None = None,
) -> tuple[Path, list[Run]]:
    """The sweep's folder and its runs, in the grid's order.

    Args:
        axes: The grid.
        out: Folder of the sweep; none: what the run file names, with `-sweep` behind it.
        run_file: What the runs share; `given`, `sets`, `flags`: as of `resolve`.
        given: As of `resolve`.
        sets: As of `resolve`.
        flags: As of `resolve`.

    Raises:
        ConfigError: every combination that can't be run, with the reason; keys that do nothing;
            combinations that equal each other.
    """
    _check_keys(axes, given or {}, sets)
    # A whole part before what lies in it: `objective` before `objective.beta`.
    deep = sorted(axes, key=lambda axis: axis.key.count("."))
    runs: list[Run] = []
    faults: list[tuple[str, ConfigError]] = []
    for one in combinations(axes):
        words = [*sets, *(f"{axis.key}={json.dumps(one.values[axis.key])}" for axis in deep)]
        try:
            resolved = resolve(run_file, given, words, flags=flags)
        except ConfigError as error:
            faults.append((one.name, error))
            continue
        runs.append(Run(one.name, one.setting, one.values, resolved))
    if faults:
        raise _explain(faults, len(faults) + len(runs), axes)
    _check_effects(axes, runs)
    root = out or _folder(runs[0], "out" in (given or {}) or _names_out(run_file))
    return root, [_placed(run, root) for run in runs]


def _check_keys(axes: Sequence[Axis], given: Mapping[str, Any], sets: Sequence[str]) -> None:
    elsewhere = [*given, *(text.partition("=")[0].strip() for text in sets)]
    for axis in axes:
        where = f"--grid {axis.key}"
        if axis.key == "out":
            raise _idle("each run's folder follows from its values.", where, "name one with --out.")
        if axis.key in IDLE:
            problem = (
                f"`{axis.key}` changes no result, beyond rounding: the runs would be the same."
            )
            raise _idle(problem, where, "set it for all runs with --set.")
        twice = next((key for key in elsewhere if f"{key}.".startswith(f"{axis.key}.")), None)
        if twice is not None:
            problem = f"`{twice}` is set for all runs, and the grid would overrule that."
            raise _idle(problem, where, "give it once.")


def _check_effects(axes: Sequence[Axis], runs: Sequence[Run]) -> None:
    """Refuse values without effect, and runs that are the same."""
    keys = {axis.key for axis in axes}
    if "optimizer.epochs" in keys and all(run.settings.optimizer.max_steps for run in runs):
        problem = "`optimizer.max_steps` is set, which overrides it."
        raise _idle(problem, "--grid optimizer.epochs", "leave one of them out.")
    known: dict[str, str] = {}
    for run in runs:
        text = run.settings.model_dump_json(exclude={"out"})
        if text in known:
            problem = f"{known[text]} and {run.name} are the same run."
            raise _idle(problem, "--grid", "leave one of them out.")
        known[text] = run.name
    without = next((run for run in runs if run.settings.data.held_out == 0), None)
    if without is not None:
        raise ConfigError(
            "PT301",
            f"nothing is held out, so {without.name} can't be compared.",
            where="data.held_out",
            why="a sweep chooses by pairs that no run was trained on.",
            fix="give a share or a file: --set data.held_out=0.05.",
        )


def _explain(
    faults: Sequence[tuple[str, ConfigError]], total: int, axes: Sequence[Axis]
) -> ConfigError:
    """One message for all combinations that can't be run, each mistake once."""
    first = faults[0][1]
    names: dict[str, list[str]] = {}
    for name, error in faults:
        place = "" if error.where in {None, "configuration"} else f"{error.where}: "
        problem = error.problem
        for axis in axes:  # as it was typed
            problem = problem.replace(f"(--set {axis.key}=", f"(--grid {axis.key}=")
        names.setdefault(f"{place}{problem}", []).append(name)
    if len(names) == 1 and len(faults) == total:
        return first
    lines = [f"{_listed(those)}: {problem}" for problem, those in names.items()]
    return ConfigError(
        first.code,
        f"{len(faults)} of {total} combinations can't be run.\n" + "\n".join(lines),
        where="--grid",
        why="nothing is loaded or trained before every run is understood.",
        fix=first.fix if len(names) == 1 else "correct or leave out the values named.",
    )


def _listed(names: Sequence[str]) -> str:
    return "; ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _names_out(run_file: Path | None) -> bool:
    from preftune.training.yaml_file import read_yaml

    return run_file is not None and "out" in read_yaml(run_file)[0]


def _folder(run: Run, named: bool) -> Path:
    """Beside the folder that the run file names, else `runs/MODEL-sweep`."""
    settings = run.settings
    if named:
        return settings.out.with_name(f"{settings.out.name}-sweep")
    return Path("runs") / f"{Path(settings.model).name or 'model'}-sweep"


def _placed(run: Run, root: Path) -> Run:
    """The run in its folder below `root`."""
    settings = run.settings.model_copy(update={"out": root / run.name})
    origins = {**run.resolved.origins, "out": "--out"}
    return replace(run, resolved=Resolved(settings, origins))


def _idle(problem: str, where: str, fix: str) -> ConfigError:
    why = "every value of the grid must make a run that the others are not."
    return ConfigError("PT303", problem, where=where, why=why, fix=fix)
