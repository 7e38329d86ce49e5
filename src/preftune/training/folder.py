"""The run folder: its files, its lock, and whose run it holds."""

import errno
import fcntl
import json
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from preftune.errors import ConfigError, ResourceError, RunError
from preftune.training.config import RunSettings
from preftune.training.runfile import Resolved, write_run_file
from preftune.training.yaml_file import flatten, read_yaml

OURS = {"lock", ".run.yaml.tmp"}
"""What a start that failed leaves behind."""

FREE = {"out", "tokens_per_batch", "checkpoint_activations", "compile_layers"}
"""Settings that may differ on resuming: the folder by another path, and what changes memory and
speed and, beyond rounding, nothing else."""


class RunFolder:
    """Paths of a run: `run.yaml`, `data.json`, `metrics.jsonl`, `checkpoints/`, `model/`, …."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings = root / "run.yaml"
        self.data = root / "data.json"
        self.metrics = root / "metrics.jsonl"
        self.result = root / "result.json"
        self.checkpoints = root / "checkpoints"
        self.model = root / "model"

    def check(self, resolved: Resolved) -> None:
        """Refuse a folder that holds something else, before anything is loaded.

        Raises:
            ConfigError: another run's folder (PT305), or no run folder at all (PT306).
        """
        try:
            is_other = self.root.exists() and not self.root.is_dir()
        except OSError as error:  # a name too long to be one
            raise self._unwritable(error) from error
        if is_other:
            raise self._not_ours("is a file, not a folder")
        if self.settings.exists():
            self._compare(resolved.settings)
        elif self.root.exists() and {path.name for path in self.root.iterdir()} - OURS:
            raise self._not_ours("holds files, but no run of preftune")
        else:
            self._try_to_write()

    def _try_to_write(self) -> None:
        """Make the folder and a file in it, and take both away again."""
        missing = [folder for folder in (self.root, *self.root.parents) if not folder.exists()]
        made: list[Path] = []
        try:
            for folder in reversed(missing):
                folder.mkdir()
                made.append(folder)
            with tempfile.TemporaryFile(dir=self.root) as file:
                file.write(b"preftune")
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            for folder in reversed(made):
                folder.rmdir()

    @contextmanager
    def claimed(self, resolved: Resolved) -> Generator[None]:
        """Hold the folder for this process, with `run.yaml` written.

        Raises:
            ConfigError: the folder can't be made or written (PT306).
            RunError: another process holds it (PT502).
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = (self.root / "lock").open("a+")
        except OSError as error:
            raise self._unwritable(error) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise self._busy(lock.read().strip()) from None
            lock.seek(0)
            lock.truncate()
            lock.write(str(os.getpid()))
            lock.flush()
            if self.settings.exists():  # by another process, since `check`
                self._compare(resolved.settings)
            else:
                write_text(self.settings, write_run_file(resolved))
            yield

    def _compare(self, settings: RunSettings) -> None:
        before, _ = read_yaml(self.settings)
        try:
            old = flatten(RunSettings.model_validate(before).model_dump(mode="json"))
        except ValidationError as error:
            raise self._not_ours("holds a run.yaml that is not one of preftune's") from error
        new = flatten(settings.model_dump(mode="json"))
        differ = [key for key in sorted(old | new) if old.get(key) != new.get(key)]
        differ = [key for key in differ if key not in FREE]
        if "objective.name" in differ:  # its settings and its learning rate follow from it
            rest = [key for key in differ if not key.startswith("objective.")]
            differ = ["objective.name", *rest]
        if differ:
            shown = "; ".join(
                f"{key}: {old.get(key)!r} there, {new.get(key)!r} now" for key in differ
            )
            raise ConfigError(
                "PT305",
                f"the folder holds a run of another configuration ({shown}).",
                where=str(self.root),
                why="resuming it with other settings would mix two runs; nothing was overwritten.",
                fix="name another folder with --out, or repeat the command of that run.",
            )

    def _not_ours(self, what: str) -> ConfigError:
        return ConfigError(
            "PT306",
            f"the output {what}.",
            where=str(self.root),
            why="a run writes its settings, metrics and weights there; nothing was overwritten.",
            fix="name a new or empty folder with --out.",
        )

    def _unwritable(self, error: OSError) -> ConfigError | ResourceError:
        if error.errno == errno.ENOSPC:
            return disk_full(self.root, error)
        return ConfigError(
            "PT306",
            f"the output folder can't be written: {error.strerror}.",
            where=str(self.root),
            why="a run writes its settings, metrics and weights there.",
            fix="name a folder that you may write with --out.",
        )

    def _busy(self, owner: str) -> RunError:
        return RunError(
            "PT502",
            f"another process ({owner or 'unknown'}) is writing to this run folder.",
            where=str(self.root),
            why="two writers would spoil each other's checkpoints.",
            fix="wait for it, stop it, or name another folder with --out.",
        )


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        ResourceError: the disk is full or the place can't be written (PT600).
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise disk_full(path, error) from error


def write_json(path: Path, content: Any) -> None:
    """`write_text` of an indented JSON document."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def disk_full(path: Path, error: Exception, needed: int | None = None) -> ResourceError:
    """The error for a failed write: mostly a full disk. Safetensors raises errors of its own."""
    cause = error.strerror if isinstance(error, OSError) else None
    size = f" About {needed / 2**20:,.0f} MiB are needed." if needed else ""
    return ResourceError(
        "PT600",
        f"writing failed: {cause or error}.{size}",
        where=str(path),
        why="without it the run can't be resumed; what was saved before is untouched.",
        fix="free some space, then repeat the same command: it resumes.",
    )
