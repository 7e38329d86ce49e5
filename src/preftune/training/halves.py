"""Held-out prompts in two halves: one decides who goes on, the other is kept for the choice."""

import hashlib

from preftune.records.tokens import Ids


def prompt_hash(ids: Ids) -> str:
    """16 hexadecimal digits, the same for the same tokens."""
    return hashlib.blake2b(ids.tobytes(), digest_size=8).hexdigest()


def decides_early(prompt: str) -> bool:
    """Whether a prompt, by its hash, is of the half that runs are stopped by.

    Runs that were picked on some prompts look too good on these; on the others they do not.

    >>> decides_early("00000000000000a0"), decides_early("00000000000000a1")
    (True, False)
    """
    return int(prompt[-1], 16) % 2 == 0
