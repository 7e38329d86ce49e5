"""AdamW piece by piece: bfloat16 weights with exact float32 masters, moments in 8 bits.

A weight is updated a few hundred thousand numbers at a time. Of such a piece, which stays in the
cache, everything is made float32, torch's fused AdamW runs over it, and it is stored again. So what
is computed is AdamW in float32 (Loshchilov & Hutter, arXiv:1711.05101) bit for bit, unless the
moments are rounded to 8 bits.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from preftune.training.eight_bits import BLOCK, dequantise, num_blocks, quantise
from preftune.training.masters import join, split, whole

PIECE = {"cpu": 1 << 18, "cuda": 1 << 22}
"""Numbers updated at a time: what fits the cache of a core or of a GPU. Multiples of `BLOCK`."""

State = dict[str, Tensor]
"""`step`, `exp_avg` and `exp_avg_sq`; where they are rounded `exp_avg_scale` and
`exp_avg_sq_scale`, of each block; of bfloat16 weights `low`."""


class PiecewiseAdamW(torch.optim.Optimizer):
    """AdamW over float32 or bfloat16 weights; the latter's other 16 bits are kept here.

    Args:
        groups: Parameter groups, each with its `weight_decay`.
        betas: Decay of the two moments.
        eps: Added to the root of the second moment.
        rounded: The parameters whose moments are kept in 8 bits.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        *,
        betas: tuple[float, float],
        eps: float,
        rounded: Iterable[Tensor] = (),
    ) -> None:
        super().__init__(groups, {"lr": 0.0, "betas": betas, "eps": eps})
        self._rounded = set(rounded)
        self._buffers: dict[tuple[str, torch.device], Tensor] = {}

    @torch.no_grad()
    def step(  # pyright: ignore[reportIncompatibleMethodOverride]  # without a closure
        self, *, factor: Tensor | None = None
    ) -> None:
        """Update every weight that has a gradient.

        Args:
            factor: () float32 by which gradients are multiplied, as clipping does; in float32,
                whatever their dtype. They themselves stay as they are.
        """
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.update(parameter, group, factor=factor)

    @torch.no_grad()
    def update(
        self,
        parameter: Tensor,
        group: dict[str, Any],
        *,
        factor: Tensor | None = None,
        skip: Tensor | None = None,
    ) -> None:
        """Update one weight from its gradient.

        Args:
            parameter: With a gradient.
            group: The parameter group it is in.
            factor: As in `step`.
            skip: () float32: where it is 1 the weight stays as it is, and nobody waits for the
                device to say so.
        """
        assert parameter.grad is not None
        state: State = self.state[parameter]
        if not state:
            state.update(self._start(parameter))
        step, before = state["step"], state["step"].clone()
        flat = {name: value.view(-1) for name, value in state.items()}
        weight, gradient = parameter.detach().view(-1), parameter.grad.reshape(-1)
        length = PIECE.get(weight.device.type, PIECE["cpu"])
        for start in range(0, len(weight), length):
            part = slice(start, start + length)
            blocks = slice(start // BLOCK, (start + length) // BLOCK)
            piece = {n: v[blocks if n.endswith("scale") else part] for n, v in flat.items()}
            piece["step"] = step.copy_(before)  # AdamW counts it up, with every piece
            self._update(weight[part], gradient[part], piece, group, factor=factor, skip=skip)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take a state back with its own dtypes: torch would give it the weights'."""
        super().load_state_dict({**state_dict, "state": {}})
        parameters = [p for group in self.param_groups for p in group["params"]]
        for index, entry in state_dict["state"].items():
            device = parameters[index].device
            self.state[parameters[index]] = {n: v.to(device) for n, v in entry.items()}

    def _start(self, parameter: Tensor) -> State:
        """The state before the first update."""
        wide = _wide(parameter.dtype)
        state: State = {"step": torch.zeros((), device=parameter.device)}
        rounded = parameter in self._rounded
        for name in ("exp_avg", "exp_avg_sq"):
            state[name] = torch.zeros_like(parameter, dtype=torch.uint8 if rounded else wide)
            if rounded:
                blocks = num_blocks(parameter.numel())
                state[f"{name}_scale"] = torch.zeros(blocks, device=parameter.device)
        if parameter.dtype == torch.bfloat16:
            state["low"] = whole(parameter)
        return state

    def _update(
        self,
        weight: Tensor,
        gradient: Tensor,
        state: State,
        group: dict[str, Any],
        *,
        factor: Tensor | None,
        skip: Tensor | None,
    ) -> None:
        """One piece, all (n,): make it wide, run AdamW, store it again."""
        master, kept = weight, "low" in state
        if kept:
            master = self._buffer("master", weight)
            spare = self._buffer("spare", weight).view(torch.int32)
            join(weight, state["low"], master, spare)
        if factor is not None or gradient.dtype != master.dtype:
            gradient = self._buffer("gradient", weight).copy_(gradient)
        if factor is not None:
            gradient.mul_(factor)
        first, second = _moments(state)
        adamw(
            [master],
            [gradient],
            [first],
            [second],
            [],
            [state["step"]],
            fused=True,
            found_inf=skip,
            amsgrad=False,
            maximize=False,
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
        )
        if "exp_avg_scale" in state:
            quantise(first, state["exp_avg"], state["exp_avg_scale"], signed=True)
            quantise(second, state["exp_avg_sq"], state["exp_avg_sq_scale"], signed=False)
        if kept:
            split(master, weight, state["low"])

    def _buffer(self, name: str, piece: Tensor) -> Tensor:
        """Memory for a piece in float32 (or the weights' own dtype where that is wider)."""
        key, dtype = (name, piece.device), _wide(piece.dtype)
        known = self._buffers.get(key)
        if known is None or len(known) < len(piece) or known.dtype != dtype:
            known = self._buffers[key] = torch.empty_like(piece, dtype=dtype)
        return known[: len(piece)]


def _wide(dtype: torch.dtype) -> torch.dtype:
    """In what the arithmetic of such weights runs."""
    return torch.float32 if dtype == torch.bfloat16 else dtype


def _moments(state: State) -> tuple[Tensor, Tensor]:
    if "exp_avg_scale" not in state:
        return state["exp_avg"], state["exp_avg_sq"]
    return (
        dequantise(state["exp_avg"], state["exp_avg_scale"], signed=True),
        dequantise(state["exp_avg_sq"], state["exp_avg_sq_scale"], signed=False),
    )
