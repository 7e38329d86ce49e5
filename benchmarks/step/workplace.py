"""What comparisons need, made once: tokenizer, pairs, models."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.step.data import (
    FILES,
    MAX_TOKENS,
    Pair,
    make_tokenizer,
    read_pairs,
    typical,
)
from benchmarks.step.shapes import Shape, save_model


@dataclass
class Workplace:
    """A folder that models are saved in, and what was read so far."""

    folder: Path
    data: dict[str, Path] = field(default_factory=lambda: dict(FILES))
    _tokenizers: dict[int, Any] = field(default_factory=dict[int, Any])
    _pairs: dict[tuple[str, int], list[Pair]] = field(
        default_factory=dict[tuple[str, int], list[Pair]]
    )

    def model(self, shape: Shape) -> str:
        """A folder with the shape's random weights."""
        folder = self.folder / shape.name
        if not folder.is_dir():
            save_model(shape, folder, self._tokenizer(shape.words))
        return str(folder)

    def pairs(self, data: str, shape: Shape) -> list[Pair]:
        """All pairs of a file, in the shape's tokens."""
        known = (data, shape.words)
        if known not in self._pairs:
            longest = MAX_TOKENS.get(data, 1024)
            tokenizer = self._tokenizer(shape.words)
            self._pairs[known] = read_pairs(self.data[data], tokenizer, longest)
        return self._pairs[known]

    def schedule(self, data: str, shape: Shape, batches: int) -> list[list[Pair]]:
        """Batches that stand for the file."""
        return typical(self.pairs(data, shape), batches)

    def _tokenizer(self, words: int) -> Any:
        if words not in self._tokenizers:
            self._tokenizers[words] = make_tokenizer(list(self.data.values()), words)
        return self._tokenizers[words]
