"""AdamW inside the backward pass: a weight moves as soon as its gradient is there.

Gradients are never all held: each is freed before the next layer's exists.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from preftune.training.adamw import PiecewiseAdamW
from preftune.training.gradients import joint_norm, norm_of


class BackwardAdamW(PiecewiseAdamW):
    """`PiecewiseAdamW` whose updates run while `armed`, in the backward pass itself.

    Autograd adds up all uses of a weight, tied ones too, before its gradient is handed over; so one
    backward pass is one update.

    A loss that is not finite moves no weight. After a gradient that is not finite no more weight
    moves, but those behind it in the network have moved already. Both are decided on the device:
    nobody waits for it.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        *,
        betas: tuple[float, float],
        eps: float,
        rounded: Iterable[Tensor] = (),
    ) -> None:
        super().__init__(groups, betas=betas, eps=eps, rounded=rounded)
        self._armed = False
        self._bad: dict[torch.device, Tensor] = {}
        self._norms: dict[Tensor, Tensor] = {}
        for index, group in enumerate(self.param_groups):
            for parameter in group["params"]:
                parameter.register_post_accumulate_grad_hook(partial(self._arrived, index))

    @contextmanager
    def armed(self) -> Generator[None]:
        """Backward passes in here update the weights; all others leave gradients as usual."""
        self._bad, self._norms = {}, {}
        self._armed = True
        try:
            yield
        finally:
            self._armed = False

    def watch_loss(self, loss: Tensor) -> None:
        """Told of the loss () before its backward pass: if it is not finite, nothing moves."""
        self._note(loss.detach())

    def grad_norm(self) -> Tensor:
        """() global norm of the gradients of the last armed backward pass."""
        every = [p for group in self.param_groups for p in group["params"]]
        return joint_norm([self._norms[p] for p in every if p in self._norms])

    @torch.no_grad()
    def _arrived(self, group: int, parameter: Tensor) -> None:
        if not self._armed:
            return
        assert parameter.grad is not None
        assert parameter not in self._norms, "one backward pass, one update"
        norm = norm_of(parameter.grad)
        self._norms[parameter] = norm
        self.update(parameter, self.param_groups[group], skip=self._note(norm))
        parameter.grad = None

    def _note(self, value: Tensor) -> Tensor:
        """() float32, 1 from the first value on that is not finite."""
        bad = (~value.isfinite()).float()
        known = self._bad.get(value.device)
        self._bad[value.device] = bad if known is None else torch.maximum(known, bad)
        return self._bad[value.device]
