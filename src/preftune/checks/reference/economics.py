"""How many tokens a trainer runs: padded batches against rows that share their prompt."""

from collections.abc import Sequence
from dataclasses import dataclass, field

PAIRS_PER_BATCH = 8


@dataclass(slots=True)
class Economics:
    """Counts tokens row by row; nothing of a row is kept but its batch's longest.

    Padded: chosen and rejected each with its prompt, right-padded to the longest of a batch of
    eight pairs in file order, as trainers do that neither sort nor pack. Where nothing was
    compared, a response counts for itself instead of a pair.
    """

    padded: int = 0
    separate: int = 0
    """Without padding, the prompt laid out with every response."""
    packed: int = 0
    """Without padding, the prompt laid out once a row: what preftune runs."""
    _longest: int = field(default=0, init=False)
    _sequences: int = field(default=0, init=False)
    _waiting: int = field(default=0, init=False)

    def see(self, prompt: int, responses: Sequence[int], pairs: Sequence[tuple[int, int]]) -> None:
        """Count a row.

        Args:
            prompt: Tokens of the prompt.
            responses: Tokens of each response.
            pairs: Indices of chosen and rejected of each pair.
        """
        self.packed += prompt + sum(responses)
        for sides in pairs or [(index,) for index in range(len(responses))]:
            lengths = [prompt + responses[side] for side in sides]
            self.separate += sum(lengths)
            self._longest = max(self._longest, *lengths)
            self._sequences += len(lengths)
            self._waiting += 1
            if self._waiting == PAIRS_PER_BATCH:
                self._close()

    @property
    def saved(self) -> float:
        """Share of the padded tokens that packing leaves out; 0 where there is nothing."""
        total = self.padded + self._longest * self._sequences
        return 1 - self.packed / total if total else 0.0

    def figure(self) -> dict[str, object]:
        """What the plot "economics" shows."""
        self._close()
        return {
            "padded": self.padded,
            "separate": self.separate,
            "packed": self.packed,
            "saved": round(self.saved, 4),
            "pairs_per_batch": PAIRS_PER_BATCH,
        }

    def _close(self) -> None:
        self.padded += self._longest * self._sequences
        self._longest = self._sequences = self._waiting = 0
