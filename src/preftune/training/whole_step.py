"""Objectives that look at a whole optimiser step, however it is cut into micro-batches.

All micro-batches are scored without gradient into one record; the loss of that record gives dL /
d log-prob of every token; each micro-batch then runs again with its slice as what flows back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from preftune.batching import pack, to_device
from preftune.objectives import LogProbs
from preftune.records import TokenGroup
from preftune.training import processes

FILLED = ("tokens", "reference", "collision", "kl")
"""What the model gives for each token; everything else is known from the data."""


class WholeStep:
    """The record of a step, filled micro-batch by micro-batch in the order of its examples."""

    def __init__(
        self, groups: Sequence[TokenGroup], device: torch.device, dtype: torch.dtype
    ) -> None:
        self.groups = groups
        self.device = device
        self.dtype = dtype
        sizes = [sum(len(response.ids) for response in group.responses) for group in groups]
        self.starts: list[int] = np.cumsum([0, *sizes]).tolist()
        self._filled: dict[str, Tensor] = {}

    def take(self, part: Sequence[int], logps: LogProbs) -> None:
        """Put what the model gave for some examples in their places."""
        places = Places.whole(self, part)
        for name in FILLED:
            values = getattr(logps, name)
            if values is not None:
                if name not in self._filled:
                    self._filled[name] = values.new_zeros(self.starts[-1])
                self._filled[name][places.tokens] = values

    def record(self) -> LogProbs:
        """The whole step's record, ready to be differentiated by `tokens` and `kl`."""
        names = self._names_everywhere()
        for name in names:
            if name not in self._filled:  # this process had no share
                self._filled[name] = torch.zeros(
                    self.starts[-1], dtype=self.dtype, device=self.device
                )
            processes.add_up(self._filled[name])
        batch = pack(self.groups).to(self.device)
        filled = {name: self._filled[name] for name in names}
        for name in ("tokens", "kl"):
            if name in filled:
                filled[name] = filled[name].requires_grad_()
        return LogProbs(
            mask=batch.mask,
            response=batch.response,
            group=batch.group,
            **filled,
            **batch.judgements,
        )

    def slopes(self, loss: Tensor, record: LogProbs) -> "Slopes":
        """How the loss changes with every token's log-prob, and with its KL where there is one."""
        kl = record.kl
        inputs = [record.tokens] if kl is None else [record.tokens, kl]
        found = torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True)
        return Slopes(found[0], None if kl is None else found[1])

    def _names_everywhere(self) -> list[str]:
        if processes.count() == 1:
            return list(self._filled)
        present = torch.tensor([name in self._filled for name in FILLED], dtype=torch.int64)
        present = present.to(self.device)
        processes.add_up(present)
        held = cast(list[int], present.tolist())
        return [name for name, count in zip(FILLED, held, strict=True) if count]


@dataclass(frozen=True, slots=True)
class Places:
    """Which tokens of the whole step a micro-batch holds, in the micro-batch's order."""

    tokens: Tensor

    @classmethod
    def whole(cls, step: WholeStep, part: Sequence[int]) -> "Places":
        """With all responses of the examples."""
        ranges = [np.arange(step.starts[one], step.starts[one + 1]) for one in part]
        return cls(to_device(torch.from_numpy(np.concatenate(ranges)), step.device))

    @classmethod
    def matched(cls, step: WholeStep, part: Sequence[int]) -> "Places":
        """Without responses to other prompts, which stand last."""
        ranges: list[NDArray[np.int64]] = []
        for one in part:
            own = [response for response in step.groups[one].responses if not response.mismatched]
            length = sum(len(response.ids) for response in own)
            ranges.append(np.arange(step.starts[one], step.starts[one] + length))
        return cls(to_device(torch.from_numpy(np.concatenate(ranges)), step.device))


@dataclass(frozen=True, slots=True, eq=False)
class Slopes:
    """What flows back into the model, for the tokens of a whole step."""

    tokens: Tensor
    kl: Tensor | None

    def send_back(self, logps: LogProbs, places: Places) -> None:
        """Run a micro-batch's backward with its slice."""
        outputs, slopes = [logps.tokens], [self.tokens[places.tokens]]
        if self.kl is not None and logps.kl is not None:
            outputs.append(logps.kl)
            slopes.append(self.kl[places.tokens])
        torch.autograd.backward(outputs, slopes)
