"""Data sets of the Hugging Face hub, and folders in the formats of `datasets`."""

import hashlib
import json
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from preftune.errors import ConfigError, DataError
from preftune.sources.rows import Item, Opened, Row


def is_saved_folder(folder: Path) -> bool:
    """Whether `save_to_disk` wrote the folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def is_repository(folder: Path) -> bool:
    """Whether the folder is a clone of a hub data set: Parquet shards named by split."""
    return any(folder.glob("*-of-*.parquet")) or any(folder.glob("data/*-of-*.parquet"))


def open_hub(name: str, split: str | None) -> Opened:
    """Rows of a hub data set, or of a folder in one of its formats.

    Args:
        name: `owner/name`, `owner/name:configuration`, or a folder.
        split: Which split; by default the only one, or `train`.

    Raises:
        DataError: PT100, it can't be loaded.
        ConfigError: PT301, PT302, the split is unknown or not named.
    """
    loaded = _load(name)
    data, split_name = _one_split(loaded, name, split)
    digest = hashlib.sha256()

    def rows() -> Iterator[Item]:
        for number, row in enumerate(data, 1):
            columns: dict[str, object] = dict(row)
            digest.update(json.dumps(columns, sort_keys=True, default=str).encode())
            yield Row(f"{name}/{split_name}:{number}", columns)

    note = f"split `{split_name}` of {name}, with the rows as `datasets` decodes them"
    return Opened(rows(), digest.hexdigest, note)


def _load(name: str) -> Any:
    datasets: Any = import_module("datasets")  # untyped, and slow to import
    datasets.disable_progress_bars()
    folder = Path(name)
    try:
        if folder.is_dir() and is_saved_folder(folder):
            return datasets.load_from_disk(name)
        if folder.is_dir():
            return datasets.load_dataset("parquet", data_files=_shards(folder))
        path, _, configuration = name.partition(":")
        return datasets.load_dataset(path, configuration or None)
    except Exception as error:
        # `datasets` raises a score of types, some of them plain `Exception`s of other libraries.
        reason = (str(error).strip().splitlines() or [""])[0][:300]
        raise DataError(
            "PT100",
            f"the data set can't be loaded ({type(error).__name__}: {reason})",
            why="it is no file or folder here, and the hub has no such data set, or can't be "
            "reached, or asks for permission.",
            fix="check the path or the name (owner/name, owner/name:configuration), the network, "
            "and for gated data `hf auth login`.",
            where=name,
        ) from error


def _shards(folder: Path) -> dict[str, list[str]]:
    shards: dict[str, list[str]] = {}
    for path in sorted([*folder.glob("*-of-*.parquet"), *folder.glob("data/*-of-*.parquet")]):
        split = path.name.rsplit("-of-", 1)[0].rsplit("-", 1)[0]
        shards.setdefault(split, []).append(str(path))
    return shards


def _one_split(loaded: Any, name: str, split: str | None) -> tuple[Any, str]:
    if not isinstance(loaded, dict):
        if split is None or str(loaded.split) == split:
            return loaded, str(loaded.split or "rows")
        raise _wrong_split(name, split, [str(loaded.split)] if loaded.split else [])
    splits = cast("dict[str, Any]", loaded)
    if split is None:
        split = next(iter(splits)) if len(splits) == 1 else "train"
        if split not in splits:
            raise _wrong_split(name, None, list(splits))
    if split not in splits:
        raise _wrong_split(name, split, list(splits))
    return splits[split], split


def _wrong_split(name: str, split: str | None, known: list[str]) -> ConfigError:
    listed = ", ".join(known) or "none"
    if split is None:
        problem, close = f"the data set has several splits: {listed}", known[:1]
    else:
        problem = f"the data set has no split {split!r}"
        close = get_close_matches(split, known, n=1)
    return ConfigError(
        "PT302" if split is None else "PT301",
        problem,
        why="rows are read from one split.",
        fix=f"--split {close[0]} (known: {listed})" if close else f"known splits: {listed}",
        where=name,
    )
