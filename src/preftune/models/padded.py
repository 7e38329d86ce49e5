"""The padded fallback: each response in a row of its own, `[prompt | response | padding]`.

For models whose attention can't be told which tokens to see: state-space and hybrid models, and
those that compute attention in their own way.

Padding comes last, so tokens that see only earlier ones never see it, and no attention mask hides
it: a mask would leave padded queries of sliding windows nothing to see, which some kernels answer
with NaN, and would keep the fast causal kernels from being used.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from preftune.batching import Batch

MOST_PADDING = 0.25
"""Share of a chunk's places that may be padding before a shorter row opens a new chunk."""

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Some responses as right-padded rows, and where the predictors of trained tokens lie."""

    ids: Tensor
    """(row, column) int64; where padded, the batch's first token."""
    tokens: Tensor
    """(trained,) int64: index in the batch's `token` axis."""
    row: Tensor
    column: Tensor
    """(trained,) int64: the place whose hidden state predicts the token."""


def padded_rows(batch: Batch) -> Iterator[Rows]:
    """The batch's responses with something to train, longest first, in chunks of like length."""
    places, firsts = _places(batch)
    trained = batch.mask.cpu().numpy()
    offsets = np.cumsum(
        [0, *(len(place) - first for place, first in zip(places, firsts, strict=True))]
    )
    wanted = [
        index for index in range(len(places)) if trained[offsets[index] : offsets[index + 1]].any()
    ]
    for chunk in _chunks(wanted, [len(place) for place in places]):
        width = len(places[chunk[0]])
        source = np.zeros((len(chunk), width), np.int64)
        tokens: list[Places] = []
        row: list[Places] = []
        column: list[Places] = []
        for place, index in enumerate(chunk):
            source[place, : len(places[index])] = places[index]
            kept = np.flatnonzero(trained[offsets[index] : offsets[index + 1]])
            tokens.append(offsets[index] + kept)
            row.append(np.full(len(kept), place))
            column.append(firsts[index] - 1 + kept)
        device = batch.ids.device
        yield Rows(
            ids=batch.ids[torch.from_numpy(source).to(device)],
            tokens=_tensor(tokens, device),
            row=_tensor(row, device),
            column=_tensor(column, device),
        )


def _places(batch: Batch) -> tuple[list[Places], list[int]]:
    """For each response the packed positions of its row, and where the response starts in it."""
    places: list[Places] = []
    firsts: list[int] = []
    for segment in batch.segments:
        prompt = np.arange(*segment.prompt)
        for response in segment.responses:
            places.append(np.concatenate([prompt, np.arange(*response)]))
            firsts.append(len(prompt))
    return places, firsts


def _chunks(wanted: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    chunk: list[int] = []
    filled = 0
    for index in sorted(wanted, key=lambda index: -lengths[index]):
        filled += lengths[index]
        if chunk and filled < (1 - MOST_PADDING) * (len(chunk) + 1) * lengths[chunk[0]]:
            yield chunk
            chunk, filled = [], lengths[index]
        chunk.append(index)
    if chunk:
        yield chunk


def _tensor(parts: Sequence[Places], device: torch.device) -> Tensor:
    return torch.from_numpy(np.concatenate(parts).astype(np.int64)).to(device)
