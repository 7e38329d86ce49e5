"""Small files for the tests, written to a temporary folder."""

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

PAIR = {"prompt": "What is red?", "chosen": "A colour.", "rejected": "No."}


def jsonl(path: Path, rows: Iterable[object]) -> str:
    """Rows as JSON Lines, gzip if the name says so; the path as text."""
    data = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def turn(role: str, content: str) -> Mapping[str, str]:
    """One message as files hold it."""
    return {"role": role, "content": content}
