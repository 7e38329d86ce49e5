"""PC200: rows that say the same of the same responses again."""

import hashlib
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from preftune.checks.cases import Account, Case, Conclusion
from preftune.checks.finding import finding, many, percent, verb
from preftune.checks.grading import graded
from preftune.checks.repeats.shingles import Numbers, Places
from preftune.checks.repeats.splits import is_held_out
from preftune.records import Example


@dataclass(slots=True)
class Repeats:
    """Counts exact repeats: 12 bytes a row."""

    _keys: "array[int]" = field(default_factory=lambda: array("Q"))
    _annotators: "array[int]" = field(default_factory=lambda: array("I"))

    def see(self, case: Case) -> None:
        """Remember what the row says, and who said so."""
        self._keys.append(judgement_key(case))
        self._annotators.append(_annotator(case))

    @property
    def keys(self) -> Numbers:
        """What each row says, whoever said so, shape (row,)."""
        return np.frombuffer(self._keys, np.uint64)

    def conclude(self, account: Account) -> Conclusion:
        """Count all but the first of each."""
        who = np.frombuffer(self._annotators, np.uint32)
        keys = self.keys ^ (who.astype(np.uint64) << np.uint64(32))
        _, first, number = np.unique(keys, return_index=True, return_inverse=True)
        again = np.flatnonzero(first[number] != np.arange(len(keys)))
        if not len(again):
            return Conclusion()
        share = len(again) / len(keys)
        most = int(np.bincount(number).max())
        found = finding(
            "PC200",
            graded(share, warning=0.01, error=0.2),
            f"{many(len(again), 'row')} ({percent(share)}) {verb(len(again), 'repeat')} an "
            f"earlier one word for word; the most frequent stands there {most:,} times.",
            len(again),
            len(keys),
            examples=twins(again, first[number][again], account, "the same as"),
        )
        return Conclusion([found], drops=dict.fromkeys(again.tolist(), "PC200"))


def twins(rows: Places, firsts: Places, account: Account, relation: str) -> Iterator[Example]:
    """Examples of rows that belong to earlier ones, one of each cluster first.

    Args:
        rows: Shape (row,).
        firsts: The earlier row that each belongs to, shape (row,).
        account: Knows the places of both.
        relation: What a note says that they are to each other, such as `the same as`.
    """
    _, first = np.unique(firsts, return_index=True)
    first.sort()
    for at in (*first.tolist(), *np.delete(np.arange(len(rows)), first).tolist()):
        note = f"{relation} {account.sources[int(firsts[at])]}"
        yield Example(int(rows[at]), note=note)


def judgement_key(case: Case) -> int:
    """A number of 64 bits that stands for what a row says: of which responses to what prompt.

    The order of the responses plays no part, nor does the annotator. A row of the file's own test
    split does not repeat one that is trained on: that is a leak.
    """
    keys = case.response_keys
    relations = case.group.relations or case.pairs
    held_out = b"held out" if is_held_out(case.group.metadata) else b""
    parts = [case.prompt_key + held_out]
    if len(relations) == 1 and len(keys) == 2 and not relations[0].tie:
        parts += [keys[relations[0].winner], keys[relations[0].loser]]
    else:
        parts += sorted(key + label for key, label in zip(keys, _labels(case), strict=True))
        for one in relations:
            ends = [keys[one.winner], keys[one.loser]]
            parts.append((b"=" if one.tie else b">") + b"".join(sorted(ends) if one.tie else ends))
        parts[1 + len(keys) :] = sorted(parts[1 + len(keys) :])
    digest = hashlib.blake2b(b"|".join(parts), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _labels(case: Case) -> Iterator[bytes]:
    """What was said of each response alone: its thumb, or the score of a single one."""
    for response in case.group.responses:
        rating = response.rating
        if rating is None or (rating.good is None and len(case.responses) > 1):
            yield b""
        else:
            yield repr((rating.good, rating.score)).encode()


def _annotator(case: Case) -> int:
    """A number of 32 bits that stands for who judged; 0 for nobody known."""
    names = sorted(one.annotator for one in case.group.relations)
    return zlib.crc32("\0".join(names).encode(errors="surrogatepass")) if any(names) else 0
