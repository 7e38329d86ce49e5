"""`metrics.jsonl`: one line for each optimiser step and each evaluation."""

import json
import time
from pathlib import Path
from typing import Any

from preftune.training.folder import disk_full, write_text


class MetricLog:
    """Appends lines; on resuming it first drops those that will be written again.

    Args:
        path: The file.
        step: Steps already done. What was measured after them is measured again.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        lines = read_metrics(path)
        kept = [line for line in lines if line["step"] < step]
        if len(kept) < len(lines):
            write_text(path, "".join(_line(entry) for entry in kept))

    def write(self, entry: dict[str, Any]) -> None:
        """Append one line.

        Raises:
            ResourceError: the disk is full (PT600).
        """
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(entry))
        except OSError as error:
            raise disk_full(self.path, error) from error


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics file; a last line cut short by a crash is left out."""
    if not path.exists():
        return []
    entries: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue
    return entries


class Speed:
    """Tokens per second since the last question."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.tokens = 0

    def add(self, tokens: int) -> None:
        """Count tokens laid out."""
        self.tokens += tokens

    def take(self) -> float:
        """Tokens per second since the last call; the count starts anew."""
        now = time.monotonic()
        speed = self.tokens / max(1e-9, now - self.start)
        self.start, self.tokens = now, 0
        return speed


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"
