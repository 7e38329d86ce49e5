"""Prompts as vectors: what a model makes of them, averaged over their tokens."""

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from preftune.models.architecture import backbone, unwrap
from preftune.models.root import LogProbModel
from preftune.records.tokens import Ids

Floats = NDArray[np.float64]


@torch.no_grad()
def prompt_features(
    model: LogProbModel, prompts: Sequence[Ids], *, tokens_per_batch: int
) -> Floats:
    """(prompt, hidden) mean of the final hidden states over each prompt's tokens.

    Prompts are padded on the right, where tokens that see only earlier ones never look.
    """
    plain = unwrap(model.model)
    found: list[Floats] = [np.empty(0)] * len(prompts)
    for part in _rectangles([len(prompt) for prompt in prompts], tokens_per_batch):
        rows = [torch.from_numpy(prompts[index]).long() for index in part]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(model.device)
        hidden = cast(Tensor, backbone(plain)(input_ids=ids, use_cache=False)[0])
        for index, row, states in zip(part, rows, hidden, strict=True):
            found[index] = states[: len(row)].double().mean(0).cpu().numpy()
    return np.stack(found)


def _rectangles(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Rows of like length, the longest first, padding counted in the budget."""
    part: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if part and (len(part) + 1) * lengths[part[0]] > budget:
            yield part
            part = []
        part.append(index)
    if part:
        yield part
