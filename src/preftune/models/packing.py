"""How one packed row is cut into pieces of attention, and what all layers share of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from preftune.batching import Segment, to_device


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """The row's pieces as a variable-length kernel wants them: one after the other.

    A prompt with its first response sees itself; a later response sees its prompt and itself, so
    its prompt's keys are laid out once more.
    """

    keys: Tensor
    """(key,) int64: the row's position of each key."""
    query_ends: Tensor
    """(piece + 1,) int32: where each piece's queries end; 0 first."""
    key_ends: Tensor
    """(piece + 1,) int32: where each piece's keys end; 0 first."""
    longest_query: int
    longest_key: int


class Packing:
    """How one row is cut into pieces, and what all layers share of it."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.sizes: list[int] = []
        """Pieces of the row: for each group the prompt with response 1, then the others."""
        self.groups: list[tuple[int, int]] = []
        """(prompt length, number of pieces after the first) of each group."""
        self._masks: dict[tuple[int, int, int | None, int, torch.device], Tensor] = {}
        self._spans: dict[torch.device, Spans] = {}
        for segment in segments:
            first, *later = [end - start for start, end in segment.responses] or [0]
            prompt = segment.prompt[1] - segment.prompt[0]
            kept = [size for size in later if size]
            self.sizes += [prompt + first, *kept]
            self.groups.append((prompt, len(kept)))

    def mask(self, query: Tensor, keys: int, window: int | None, folds: int) -> Tensor:
        """(folds * query, key) bool: the last query is the last key; distance below `window`."""
        queries = query.shape[2]
        known = (queries, keys, window, folds, query.device)
        if known not in self._masks:
            seen = torch.ones(queries, keys, dtype=torch.bool, device=query.device)
            seen = seen.tril(keys - queries)
            if window is not None:
                seen = seen.triu(keys - queries - window + 1)
            self._masks[known] = seen.repeat(folds, 1)
        return self._masks[known]

    def spans(self, device: torch.device) -> Spans:
        """The pieces for a variable-length kernel, made on the first layer's call."""
        if device not in self._spans:
            self._spans[device] = self._laid_out(device)
        return self._spans[device]

    def _laid_out(self, device: torch.device) -> Spans:
        sizes = iter(self.sizes)
        keys: list[Tensor] = []
        lengths: list[tuple[int, int]] = []
        start = 0
        for prompt, later in self.groups:
            size = next(sizes)
            keys.append(torch.arange(start, start + size))
            lengths.append((size, size))
            seen, start = torch.arange(start, start + prompt), start + size
            for _ in range(later):
                size = next(sizes)
                keys += [seen, torch.arange(start, start + size)]
                lengths.append((size, prompt + size))
                start += size
        queries, known = zip(*lengths, strict=True)
        return Spans(
            keys=to_device(torch.cat(keys), device),
            query_ends=to_device(_ends(queries), device),
            key_ends=to_device(_ends(known), device),
            longest_query=max(queries),
            longest_key=max(known),
        )


def _ends(sizes: Sequence[int]) -> Tensor:
    return torch.tensor(list(accumulate(sizes, initial=0)), dtype=torch.int32)
