"""Which texts stand word for word in a corpus? Thousands of texts in a hundred megabytes: seconds.

Every place of the corpus is hashed by its next 16 bytes; only where that hash is the hash of a
text's beginning are the bytes compared.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

HEAD = 16
CHUNK = 1 << 22
FIRST, SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
TABLE_BITS = 20


def standing_in(texts: Sequence[str], corpus: Sequence[str]) -> set[str]:
    """Those of `texts` that are part of one text of the corpus.

    >>> sorted(standing_in(["a long enough piece of text", "b"], ["(a long enough piece of text)"]))
    ['a long enough piece of text']
    """
    joined = "\n".join(corpus).encode()
    needles = {text: text.encode() for text in texts}
    found = {text for text, raw in needles.items() if len(raw) < HEAD and raw in joined}
    by_head: dict[int, list[str]] = defaultdict(list)
    for text, raw in needles.items():
        if len(raw) >= HEAD:
            by_head[int(hashes(raw[:HEAD])[0])].append(text)
    known = np.zeros(1 << TABLE_BITS, bool)
    known[[head >> (64 - TABLE_BITS) for head in by_head]] = True
    for start in range(0, len(joined), CHUNK):
        window = joined[start : start + CHUNK + HEAD - 1]
        if len(window) < HEAD:
            break
        values = hashes(window)
        places = np.flatnonzero(known[values >> np.uint64(64 - TABLE_BITS)])
        for place, value in zip(places.tolist(), values[places].tolist(), strict=True):
            for text in by_head.get(value, ()):
                if joined.startswith(needles[text], start + place):
                    found.add(text)
    return found


def hashes(raw: bytes) -> np.ndarray:
    """One 64-bit hash for each place with 16 bytes to go."""
    count = len(raw) - HEAD + 1
    words = np.empty(count + 8, np.uint64)  # the 8 bytes from each place on
    for offset in range(min(8, len(words))):
        part = np.frombuffer(raw[offset : offset + (len(raw) - offset) // 8 * 8], np.uint64)
        words[offset::8] = part[: len(words[offset::8])]
    return (words[:count] * FIRST) ^ (words[8:] * SECOND)
