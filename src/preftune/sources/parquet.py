"""Parquet, decoded in a child process under a budget.

A 2,700-byte file can decode to 100 GB, and what its metadata says about sizes can't be trusted.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from preftune.errors import DataError
from preftune.records import Exclusion
from preftune.sources import parquet_child
from preftune.sources.lines import split_lines
from preftune.sources.rows import Item, Row
from preftune.sources.strict_json import StrictDecoder

BASE_BUDGET = 256 << 20
GROWTH = 50
"""Text packs by a factor of 3 to 10; one that grows more than this is refused."""


def parquet_rows(path: Path, name: str, *, budget: int | None = None) -> Iterator[Item]:
    """Rows of a Parquet file, streamed row group by row group.

    Args:
        path: The file.
        name: File name for `file:row`.
        budget: Bytes that the decoded rows may take together; by default 256 MiB plus 50 times
            the size of the file.

    Raises:
        DataError: PT101 unreadable, PT107 over the budget.
    """
    allowed = BASE_BUDGET + GROWTH * path.stat().st_size if budget is None else budget
    command = [sys.executable, "-P", parquet_child.__file__, str(path), str(allowed)]
    # Arrow's own pools reserve more than the child may have.
    environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as talk:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=talk, env=environment)
        assert child.stdout is not None
        try:
            yield from _items(child.stdout, name)
            code = child.wait()
        finally:
            child.kill()
            child.stdout.close()
            child.wait()
        if code:
            raise _failure(code, talk, name, allowed)


def _items(stream: IO[bytes], name: str) -> Iterator[Item]:
    decoder = StrictDecoder(finite=False)
    for line in split_lines(stream):
        place = f"{name}:{line.number}"
        if line.data is None:
            yield Exclusion(place, "line too long", f"a row of {line.size:,} bytes")
            continue
        value, fault = decoder.decode(line.data.decode(errors="replace"))
        if fault:
            yield Exclusion(place, fault.reason, fault.detail)
        elif isinstance(value, dict):
            yield Row(place, cast("dict[str, object]", value))
        else:
            reason, detail = cast("list[str]", value)
            yield Exclusion(place, reason, detail)


def _failure(code: int, talk: IO[bytes], name: str, allowed: int) -> DataError:
    if code in (parquet_child.OVER_BUDGET, -signal.SIGKILL, -signal.SIGABRT):
        return DataError(
            "PT107",
            f"the Parquet file decodes to more than {allowed:,} bytes, or a row group needs more "
            "memory than it may have",
            why="a few kilobytes of Parquet can decode to gigabytes and take the machine down.",
            fix="write it anew with smaller row groups, or as JSON Lines (.jsonl.gz).",
            where=name,
        )
    talk.seek(0)
    words = talk.read()[-2000:].decode(errors="replace").strip().splitlines()
    reason = words[-1] if words and code > 0 else f"the decoder crashed (exit code {code})"
    return DataError(
        "PT101",
        f"the Parquet file can't be read: {reason}",
        why="it is damaged, half-written or not Parquet.",
        fix="copy or make it anew.",
        where=name,
    )
