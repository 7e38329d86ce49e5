"""The reference cache: per-token fp32 log-probs on disk, addressed by what they depend on.

A folder for each (weights, precision, numerics version); in it shards of entries, one entry for
each prompt and response. A shard's name is the hash of its bytes, so a damaged one is found on
reading, and writing is atomic, so an interrupted pass keeps what it has finished.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from preftune.errors import ResourceError
from preftune.records import TokenGroup, TokenResponse

NUMERICS_VERSION = 2
"""Bump by hand when the same weights and tokens would give other numbers."""

KEY_BYTES = 16
LogProbArray = NDArray[np.float32]


def entry_key(group: TokenGroup, response: TokenResponse) -> bytes:
    """What a response's log-probs depend on beside the weights: prompt, tokens, mask."""
    digest = hashlib.blake2b(digest_size=KEY_BYTES)
    for part in (group.prompt_ids, response.ids, response.trained):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.digest()


class ReferenceCache:
    """Log-probs by entry key. Holds in memory only the entries asked for.

    Args:
        root: Folder of all caches; see `default_root`.
        weights: Fingerprint of the reference's weights and configuration.
        precision: What else changes the numbers: dtype of the matmuls, device, layout.
    """

    def __init__(self, root: Path, *, weights: str, precision: str) -> None:
        self.folder = root / "reference" / f"{weights[:32]}-{precision}-v{NUMERICS_VERSION}"
        self.damaged: list[Path] = []
        """Shards whose bytes do not match their name: ignored, to be scored again."""

    def read(self, wanted: Iterable[bytes]) -> dict[bytes, LogProbArray]:
        """The entries at hand among `wanted`."""
        missing = set(wanted)
        found: dict[bytes, LogProbArray] = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            if not missing:
                break
            for key, values in self._entries(path):
                if key in missing:
                    found[key] = values.copy()
                    missing.discard(key)
        return found

    def write(self, entries: Sequence[tuple[bytes, LogProbArray]]) -> None:
        """Add a shard, atomically.

        Raises:
            ResourceError: the disk is full or the folder can't be written (PT600).
        """
        keys = np.frombuffer(b"".join(key for key, _ in entries), np.uint8)
        content = save(
            {
                "keys": keys.reshape(-1, KEY_BYTES).copy(),
                "ends": np.cumsum([len(values) for _, values in entries]),
                "values": np.concatenate([values for _, values in entries]).astype(np.float32),
            }
        )
        target = self.folder / f"{_digest(content)}.safetensors"
        temporary = target.with_suffix(f".{os.getpid()}.tmp")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise ResourceError(
                "PT600",
                f"the reference cache can't be written: {error.strerror}.",
                where=str(self.folder),
                why="the reference's log-probs are scored once and kept there.",
                fix="free some space, or name another folder: PREFTUNE_CACHE=/folder.",
            ) from error

    def _entries(self, path: Path) -> Iterable[tuple[bytes, LogProbArray]]:
        try:
            content = path.read_bytes()
            if _digest(content) != path.stem:
                raise ValueError("bytes do not match the name")
            shard = load(content)
            ends, values = shard["ends"], shard["values"]
            return [
                (shard["keys"][index].tobytes(), values[end - size : end])
                for index, (end, size) in enumerate(
                    zip(ends, np.diff(ends, prepend=0), strict=True)
                )
            ]
        except (OSError, SafetensorError, ValueError, KeyError):
            self.damaged.append(path)
            return []


def default_root() -> Path:
    """`$PREFTUNE_CACHE`, else `$XDG_CACHE_HOME/preftune`, else `~/.cache/preftune`."""
    named = os.environ.get("PREFTUNE_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "preftune"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:40]
