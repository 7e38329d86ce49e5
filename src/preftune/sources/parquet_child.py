"""Decode a Parquet file to JSON Lines on stdout, in a process of its own.

Run as a script, with pyarrow alone: a hostile file can make the decoder crash or use all memory,
and then it is this process that dies. A row that can't be decoded becomes `[reason, detail]`.

Exit codes: 0 all rows written, 3 over the budget, 4 unreadable (the last line of stderr says why).
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

OVER_BUDGET = 3
UNREADABLE = 4
ROW_COST = 256
"""Bytes counted for a row besides its content: a file of a billion empty rows is a bomb too."""
_BATCH = 32
_MEMORY = 1 << 30


def main(path: str, budget: int) -> int:
    """Write the rows of `path`, or stop once they cost more than `budget` bytes."""
    try:
        _limit_memory()
        return _write(path, budget)
    except MemoryError:
        return OVER_BUDGET
    except BrokenPipeError:
        return 0
    except Exception as error:  # noqa: BLE001 (the parent must hear of any)
        text = " ".join(str(error).split())[:300]
        print(f"{type(error).__name__}: {text}", file=sys.stderr)  # noqa: T201
        return UNREADABLE


def _write(path: str, budget: int) -> int:
    spent = 0
    out = sys.stdout.buffer
    for batch in _batches(path):
        spent += batch.nbytes + ROW_COST * batch.num_rows
        if spent > budget:
            return OVER_BUDGET
        for line in _lines(batch):
            spent += len(line)  # dictionaries and nested lists grow when they are written out
            if spent > 2 * budget:
                return OVER_BUDGET
            out.write(line)
    out.flush()
    return 0


def _batches(path: str) -> Iterator[Any]:
    import pyarrow.parquet as pq

    parquet_file: Any = pq.ParquetFile
    file = parquet_file(path, buffer_size=1 << 20, pre_buffer=False)
    names: list[str] = file.schema_arrow.names
    if len(set(names)) != len(names):
        raise ValueError("two columns have the same name")
    return file.iter_batches(batch_size=_BATCH, use_threads=False)


def _lines(batch: Any) -> Iterator[bytes]:
    try:
        rows: list[object] = batch.to_pylist()
    except UnicodeError:  # one row is to blame: take them singly
        for index in range(batch.num_rows):
            yield _line(batch.slice(index, 1))
    else:
        for row in rows:
            yield json.dumps(row, ensure_ascii=False, default=_describe).encode() + b"\n"


def _line(single: Any) -> bytes:
    try:
        row: object = single.to_pylist()[0]
    except UnicodeError as error:
        return json.dumps(["not UTF-8", str(error)[:200]]).encode() + b"\n"
    return json.dumps(row, ensure_ascii=False, default=_describe).encode() + b"\n"


def _describe(value: object) -> dict[str, str]:
    """Dates, bytes and the like become objects: in a text column they must not pass as text."""
    return {type(value).__name__: str(value)[:200]}


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit; the budget still holds
        return
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
