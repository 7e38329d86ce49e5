"""Many groups in one row without padding: `[prompt | response 1 | … | response K]` each.

The responses of a group see their prompt and not each other; position ids restart after the
prompt. One prompt is laid out once, whatever the number of its responses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from preftune.batching.judgements import judgements_of
from preftune.records import TokenGroup

Array = NDArray[np.integer[Any]]

TENSORS = ("ids", "positions", "predictor", "targets", "mask", "trained", "response", "group")


@dataclass(frozen=True, slots=True)
class Segment:
    """Where a group lies in the row: half-open ranges of token positions."""

    prompt: tuple[int, int]
    responses: tuple[tuple[int, int], ...]
    """In order, back to back, the first starting where the prompt ends."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What the model is given: one packed row and the bookkeeping of its response tokens.

    `position` counts the row's tokens, `token` its response tokens, `response`, `group` and
    `relation` as in `LogProbs`.
    """

    ids: Tensor
    """(position,) int64 token ids."""
    positions: Tensor
    """(position,) int64 position ids, restarting after the prompt for each response."""
    segments: tuple[Segment, ...]
    """One for each group, in order."""
    predictor: Tensor
    """(token,) int64: the position whose hidden state predicts the token."""
    targets: Tensor
    """(token,) int64: the response token's id."""
    mask: Tensor
    """(token,) bool: trained."""
    trained: Tensor
    """(trained,) int64: the tokens of the mask, known beforehand: a device would be waited for."""
    response: Tensor
    """(token,) int64: the response a token belongs to."""
    group: Tensor
    """(response,) int64: the group a response belongs to."""
    judgements: Mapping[str, Tensor]
    """What was judged, by the names that `LogProbs` has for it; only what the data holds."""
    sources: tuple[str, ...] = ()
    """(group) `file:line` of each, for messages."""

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        moved = {name: to_device(getattr(self, name), device) for name in TENSORS}
        judged = {name: to_device(one, device) for name, one in self.judgements.items()}
        return replace(self, **moved, judgements=judged)


def pack(groups: Sequence[TokenGroup]) -> Batch:
    """Lay groups out back to back in one row.

    Example:
        >>> from preftune.records import TokenResponse, Relation
        >>> sides = [TokenResponse(np.array(ids, np.int32), np.ones(len(ids), bool))
        ...          for ids in ([7, 8], [9])]
        >>> group = TokenGroup(np.array([5, 6], np.int32), tuple(sides), (Relation(0, 1),))
        >>> batch = pack([group])
        >>> batch.ids.tolist(), batch.positions.tolist(), batch.predictor.tolist()
        ([5, 6, 7, 8, 9], [0, 1, 2, 3, 2], [1, 2, 1])
    """
    ids: list[Array] = []
    positions: list[Array] = []
    predictor: list[Array] = []
    targets: list[Array] = []
    mask: list[NDArray[np.bool_]] = []
    lengths: list[int] = []
    segments: list[Segment] = []
    start = 0
    for group in groups:
        prompt_end = start + len(group.prompt_ids)
        assert prompt_end > start, f"{group.source}: an empty prompt predicts nothing"
        ids.append(group.prompt_ids)
        positions.append(np.arange(prompt_end - start))
        ranges: list[tuple[int, int]] = []
        cursor = prompt_end
        for response in group.responses:
            count = len(response.ids)
            ids.append(response.ids)
            positions.append(np.arange(count) + (prompt_end - start))
            # The prompt's last token predicts the first token of every response.
            predictor.append(np.r_[prompt_end - 1, cursor : cursor + count - 1][:count])
            targets.append(response.ids)
            mask.append(response.trained)
            lengths.append(count)
            ranges.append((cursor, cursor + count))
            cursor += count
        segments.append(Segment((start, prompt_end), tuple(ranges)))
        start = cursor
    joined = np.concatenate(mask) if mask else np.zeros(0, bool)
    return Batch(
        ids=_join(ids),
        positions=_join(positions),
        segments=tuple(segments),
        predictor=_join(predictor),
        targets=_join(targets),
        mask=torch.from_numpy(joined),
        trained=torch.from_numpy(np.flatnonzero(joined)),
        response=torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths)),
        group=torch.from_numpy(
            np.repeat(np.arange(len(groups)), [len(group.responses) for group in groups])
        ),
        judgements=judgements_of(groups),
        sources=tuple(group.source for group in groups),
    )


def to_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """The tensor on a device, without waiting for it.

    A copy to a GPU from memory that is not pinned would wait for all that it still has to do.
    """
    if torch.device(device).type == "cuda" and not tensor.is_cuda:
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def _join(parts: Sequence[Array]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts).astype(np.int64))
