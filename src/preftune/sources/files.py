"""Open data by its name: which reader a file needs, and what is wrong with a path."""

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from preftune.errors import ConfigError, DataError
from preftune.sources.arrays import json_rows
from preftune.sources.hub import is_repository, is_saved_folder, open_hub
from preftune.sources.jsonl import jsonl_rows
from preftune.sources.parquet import parquet_rows
from preftune.sources.rows import Item, Opened
from preftune.sources.tables import table_rows

ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
UNPACKED = 64 << 20
RATIO = 100
"""Text packs by a factor of 3 to 10, of the very monotonous by 50; what unpacks to more than this
many times its size, and to more than `UNPACKED` bytes, is a trap."""
_MOST = 1100
"""The factor by which gzip packs at most, and a little more."""
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?(:[\w.-]+)?")


class Unpacked:
    """The bytes of a file, unpacked where it is gzip; a broken file is a clear error."""

    def __init__(self, file: IO[bytes], name: str, packed: bool) -> None:
        self._file = file
        self._packed = packed
        self._stream: IO[bytes] | gzip.GzipFile = gzip.GzipFile(fileobj=file) if packed else file
        self._name = name
        self._read = 0

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end.

        Raises:
            DataError: PT101, a gzip file ends early or is damaged; PT100, the disk fails; PT107,
                a gzip file unpacks to far more than its size.
        """
        try:
            data = self._stream.read(size)
        except EOFError as error:
            raise self._broken("ends before its end mark: it is half-written") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise self._broken(f"is damaged ({error})") from error
        except OSError as error:
            raise _unreadable(self._name, str(error)) from error
        self._read += len(data)
        if self._packed and self._read > UNPACKED + RATIO * self._file.tell():
            raise self._bomb()
        return data

    def _bomb(self) -> DataError:
        return DataError(
            "PT107",
            f"the gzip file unpacks to more than {RATIO} times its size ({self._read:,} bytes so "
            "far)",
            why="text packs by a factor of ten; a few kilobytes that unpack to gigabytes take the "
            "machine down.",
            fix="if it is right as it is, unpack it (`gunzip FILE`) and name that file.",
            where=self._name,
        )

    def _broken(self, what: str) -> DataError:
        return DataError(
            "PT101",
            f"the gzip file {what}, after {self._read:,} bytes of text",
            why="rows are missing, and nobody could say which.",
            fix="copy or make the file anew (`gzip -t FILE` tests it).",
            where=self._name,
        )


def open_data(name: str, split: str | None = None) -> Opened:
    """Rows of a file, a folder of `datasets` or a hub data set.

    Raises:
        DataError: PT100 missing or unreadable, PT101 broken or of an unknown kind.
        ConfigError: PT301 a split is named for a file.
    """
    path = Path(name)
    try:
        if path.is_dir():
            return _open_folder(path, name, split)
        if path.exists():
            if split is not None:
                raise _no_splits(name, split)
            return _open_file(path, name)
    except OSError as error:
        raise _unreadable(name, error.strerror or str(error)) from error
    looks_like_path = _ending(path) or name.startswith((".", "/", "~"))
    if looks_like_path or not _HUB_NAME.fullmatch(name):
        raise _missing(path, name)
    return open_hub(name, split)


def _ending(path: Path) -> str:
    """The known ending of a file name, without `.gz`; empty when unknown."""
    ending = Path(path.name.lower().removesuffix(".gz")).suffix
    return ending if ending in ENDINGS else ""


def _open_file(path: Path, name: str) -> Opened:
    if not path.is_file():
        raise _unreadable(name, "it is a device or a pipe; preftune reads data twice")
    ending = _ending(path)
    if not ending:
        raise DataError(
            "PT101",
            f"the ending of the name {path.name!r} says no known kind of file",
            why="the ending says how the rows are to be read.",
            fix=f"name it with one of {' '.join(ENDINGS)}, or one of these and .gz.",
            where=name,
        )
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        fingerprint = hashlib.file_digest(file, "sha256").hexdigest()
    _check_start(start, ending, path, name)
    if _is_gzip(start) and path.stat().st_size * _MOST > UNPACKED:
        _refuse_bomb(path, name)
    if ending == ".parquet":
        return Opened(parquet_rows(path, name), lambda: fingerprint)
    if ending == ".json":
        with path.open("rb") as file:
            items, note = json_rows(Unpacked(file, name, _is_gzip(start)), name)
        return Opened(items, lambda: fingerprint, note)
    return Opened(_stream(path, name, ending, _is_gzip(start)), lambda: fingerprint)


def _refuse_bomb(path: Path, name: str) -> None:
    """Refuse what unpacks to too much at its very beginning, before hours are spent on it."""
    with path.open("rb") as file:
        stream, read = Unpacked(file, name, packed=True), 0
        while read <= UNPACKED or read > RATIO * file.tell():
            data = stream.read(1 << 20)
            if not data:
                return
            read += len(data)


def _stream(path: Path, name: str, ending: str, packed: bool) -> Iterator[Item]:
    with path.open("rb") as file:
        stream = Unpacked(file, name, packed)
        if ending in (".csv", ".tsv"):
            yield from table_rows(stream, name, delimiter="\t" if ending == ".tsv" else ",")
        else:
            yield from jsonl_rows(stream, name)


def _is_gzip(start: bytes) -> bool:
    return start.startswith(b"\x1f\x8b")


def _check_start(start: bytes, ending: str, path: Path, name: str) -> None:
    """Compare a file's first bytes with what its name says."""
    problem = ""
    if not start:
        raise DataError(
            "PT102", "the file is empty", why="there is nothing to train on.",
            fix="check how it was made; a full disk leaves empty files.", where=name,
        )  # fmt: skip
    if path.name.lower().endswith(".gz") and not _is_gzip(start):
        problem = "the file is named .gz but is not gzip"
    elif ending == ".parquet" and start != b"PAR1":
        problem = "the file is named .parquet but is not Parquet"
    elif ending != ".parquet" and start == b"PAR1":
        problem = f"the file is named {ending} but is Parquet"
    elif start.startswith((b"\xff\xfe", b"\xfe\xff")) and 0 in start[2:]:
        problem = "the file is UTF-16, not UTF-8"
    if problem:
        raise DataError(
            "PT101",
            problem,
            why="read by its name it would be nonsense.",
            fix="give it the right ending, or convert it (`iconv -f UTF-16 -t UTF-8`).",
            where=name,
        )


def _open_folder(path: Path, name: str, split: str | None) -> Opened:
    if is_saved_folder(path) or is_repository(path):
        return open_hub(name, split)
    inside = sorted(str(entry.relative_to(path)) for entry in path.rglob("*") if _ending(entry))
    listed = ", ".join(inside[:10]) + (f" and {len(inside) - 10} more" if inside[10:] else "")
    raise DataError(
        "PT100",
        f"this is a folder, not a file of rows; data files in it: {listed or 'none'}",
        why="which of them belong together can't be known.",
        fix=f"name one: {path / inside[0]}" if inside else "name a file that holds rows.",
        where=name,
    )


def _missing(path: Path, name: str) -> DataError:
    folder = path.parent
    beside = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    close = [entry for entry in beside if _ending(Path(entry))][:8]
    if not folder.is_dir():
        fix = f"the folder {folder} is missing too: check the path."
    else:
        fix = f"data files beside it: {', '.join(close)}." if close else "check the path."
    return DataError(
        "PT100",
        "there is no such file",
        why="without data there is nothing to read.",
        fix=fix,
        where=name,
    )


def _unreadable(name: str, reason: str) -> DataError:
    return DataError(
        "PT100",
        f"the data can't be opened: {reason}",
        why="without data there is nothing to read.",
        fix="check the path and your permission to read it.",
        where=name,
    )


def _no_splits(name: str, split: str) -> ConfigError:
    return ConfigError(
        "PT301",
        f"split {split!r} is named, but a file has no splits",
        why="an option that does nothing is a mistake.",
        fix="leave the split out, or name the file of that split.",
        where=name,
    )
