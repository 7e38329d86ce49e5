"""Write two files that belong together, whole or not at all, and never over another one."""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from preftune.errors import ConfigError, ResourceError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def copy_and_log(out: str | Path, data: str) -> tuple[Path, Path]:
    """Where the mended copy of `data` and the log of its changes go.

    Raises:
        ConfigError: PT308, the name can't be used, or something stands there.
    """
    path = Path(out)
    if path.suffix.lower() != ".jsonl" or path.stem in ("", ".jsonl"):
        raise _refused(path, "a mended copy is a .jsonl file, and the name says otherwise")
    log = path.with_suffix(".changes.jsonl")
    if not path.parent.is_dir():
        raise _refused(path, f"the folder {path.parent} does not exist")
    if _is_same(path, data):
        raise _refused(path, "this is the data itself, which is never changed")
    for one in (path, log):
        if os.path.lexists(one):
            raise _refused(one, "something stands there already")
    return path, log


def _is_same(path: Path, data: str) -> bool:
    """Whether both names lead to one file, through links, too."""
    return path.exists() and Path(data).exists() and path.samefile(data)


@contextmanager
def written_together(*paths: Path) -> Generator[list[IO[str]]]:
    """Files to write to: all of them take their names at the end, or none is left.

    Raises:
        ResourceError: PT600, the disk is full.
        ConfigError: PT308, the folder can't be written.
    """
    temporary = [path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in paths]
    files: list[IO[str]] = []
    try:
        for path in temporary:
            files.append(path.open("w", encoding="utf-8", newline="\n"))
        yield files
        for file in files:
            file.flush()
            os.fsync(file.fileno())
            file.close()
        # The copy comes last: where it stands, its log does, too.
        for path, name in reversed(list(zip(temporary, paths, strict=True))):
            path.replace(name)
    except OSError as error:
        raise _failed(paths[0], error) from error
    finally:
        for file in files:
            with suppress(OSError):
                file.close()
        for path in temporary:
            with suppress(OSError):
                path.unlink()


def _failed(path: Path, error: OSError) -> ConfigError | ResourceError:
    if error.errno in _FULL:
        return ResourceError(
            "PT600",
            "the disk is full",
            why="a half-written copy would look like a whole one, so none was left.",
            fix="make room, or name another place.",
            where=str(path),
        )
    return _refused(path, f"it can't be written: {error.strerror or error}")


def _refused(path: Path, problem: str) -> ConfigError:
    return ConfigError(
        "PT308",
        problem,
        why="a mended copy and its log are new files; nothing was overwritten.",
        fix="name a new .jsonl file in a folder that you may write.",
        where=str(path),
    )
