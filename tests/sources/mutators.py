"""Ways in which lines of JSON get broken, each from bytes to bytes without a newline."""

import random
from collections.abc import Callable, Sequence

Mutator = Callable[[bytes, random.Random], bytes]


def insert(line: bytes, rng: random.Random, piece: bytes) -> bytes:
    """The piece at any place."""
    at = rng.randrange(len(line) + 1)
    return line[:at] + piece + line[at:]


def flip(line: bytes, rng: random.Random) -> bytes:
    """Some bytes become any others."""
    changed = bytearray(line)
    for _ in range(rng.randrange(1, 8)):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed).replace(b"\n", b" ")


def revalue(line: bytes, rng: random.Random) -> bytes:
    """The text after any colon becomes a value of another kind."""
    colons = [at for at, byte in enumerate(line) if byte == ord(":")]
    if not colons:
        return line
    start = rng.choice(colons) + 1
    end = line.find(b",", start)
    value = rng.choice(VALUES)
    return line[:start] + value + (line[end:] if end > 0 else b"}")


VALUES = (
    b"null", b"true", b"7", b"-1e400", b"NaN", b"[]", b"{}", b"[null]", b'""', b'" "', b'"\\u0000"',
    b'[{"role": "user", "content": "a"}]', b'[{"role": "assistant", "content": ""}]',
    b'{"role": ["user"], "content": 7}', b'"\xe2\x80\xa8"', b'["a", ["b"]]', b"123456789" * 40,
)  # fmt: skip

MUTATORS: Sequence[Mutator] = (
    lambda line, rng: line[: rng.randrange(len(line) + 1)],
    lambda line, rng: line[rng.randrange(len(line) + 1) :],
    lambda line, rng: insert(line, rng, bytes([rng.randrange(256)])),
    lambda line, rng: insert(line, rng, b"\xff\xfe"),
    lambda line, rng: insert(line, rng, b"NaN"),
    lambda line, rng: insert(line, rng, b"1e999"),
    lambda line, rng: insert(line, rng, rb"\ud800"),
    lambda line, rng: insert(line, rng, b'"'),
    lambda line, rng: insert(line, rng, b"\x00"),
    lambda line, rng: insert(line, rng, "\u2028\u0085".encode()),
    lambda line, rng: insert(line, rng, b"[" * rng.randrange(3000)),
    lambda line, rng: insert(line, rng, b"9" * rng.randrange(6000)),
    lambda line, rng: line.replace(b'"chosen"', b'"prompt"'),
    lambda line, rng: rng.choice([b"null", b"[]", b"7", b"", b"  ", b'""', b"{}"]),
    lambda line, rng: line + line,
    lambda line, rng: b"\xef\xbb\xbf" + line + b"\r",
    lambda line, rng: line.replace(b'"', b"'"),
    flip,
    revalue,
)
