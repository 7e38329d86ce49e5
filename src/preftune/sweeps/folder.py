"""The sweep's folder: a run folder for each combination, and beside them what compares them."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preftune.errors import ConfigError
from preftune.sweeps.runs import Run
from preftune.training.folder import RunFolder, write_json

if TYPE_CHECKING:
    from preftune.sweeps.held_out import HeldOut


class SweepFolder:
    """Paths of a sweep: `sweep.json`, `sweep.png`, `held_out/`, and a run folder for each run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.summary = root / "sweep.json"
        self.plot = root / "sweep.png"
        self.stops = root / "stops.json"
        self.held_out = root / "held_out"

    def check(self) -> None:
        """Refuse a folder that holds something else.

        Raises:
            ConfigError: PT306.
        """
        what = None
        if self.root.exists() and not self.root.is_dir():
            what = "is a file, not a folder"
        elif (self.root / "run.yaml").exists():
            what = "holds a single run"
        elif self.root.exists() and not self.summary.exists() and any(self.root.iterdir()):
            what = "holds files, but no sweep of preftune"
        if what is not None:
            raise ConfigError(
                "PT306",
                f"the sweep's folder {what}.",
                where=str(self.root),
                why="a sweep writes its runs and their comparison there; nothing was overwritten.",
                fix="name a new or empty folder with --out.",
            )

    def write(self, document: dict[str, Any]) -> None:
        """Write `sweep.json`."""
        self.root.mkdir(parents=True, exist_ok=True)
        write_json(self.summary, document)

    def read_stops(self) -> dict[str, dict[str, Any]]:
        """What successive halving measured so far: share → run → result."""
        return json.loads(self.stops.read_text(encoding="utf-8")) if self.stops.exists() else {}

    def write_stops(self, stops: dict[str, dict[str, Any]]) -> None:
        """Keep what successive halving measured."""
        write_json(self.stops, stops)

    def measured(self, run: Run, kl_samples: int) -> "HeldOut | None":
        """What was measured of a finished run, if the run is still the same one."""
        from preftune.sweeps.held_out import HeldOut

        try:
            stored = json.loads(self._path(run).read_text(encoding="utf-8"))
            same = stored.pop("of") == _identity(run) and stored.pop("kl_samples") == kl_samples
            return HeldOut(**stored) if same else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def keep(self, run: Run, kl_samples: int, found: "HeldOut") -> None:
        """Keep what was measured of a finished run."""
        self.held_out.mkdir(exist_ok=True)
        document = {"of": _identity(run), "kl_samples": kl_samples, **asdict(found)}
        write_json(self._path(run), document)

    def _path(self, run: Run) -> Path:
        return self.held_out / f"{run.name}.json"


def _identity(run: Run) -> str:
    """Of a finished run: another training of the same folder has other timings, at least."""
    folder = RunFolder(run.settings.out)
    content = folder.metrics.read_bytes() + folder.result.read_bytes()
    return hashlib.sha256(content).hexdigest()
