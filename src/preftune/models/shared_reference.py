"""A reference that shares the weights of a policy with adapters."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.nn import Parameter

from preftune.batching import Batch
from preftune.models.adapters import TRAINED, drawing_from
from preftune.models.quiet import quiet
from preftune.models.root import LogProbModel
from preftune.models.vocabulary import LazyLogits
from preftune.objectives import LogProbs

if TYPE_CHECKING:
    from peft import PeftModel

FROZEN = "reference"
"""Name of the adapters of a reference that moves."""


class SharedReference(LogProbModel):
    """A frozen reference made of the policy's own weights: nothing but adapters is held twice.

    Args:
        policy: A model with adapters, at the start of its training.
        moving: The reference will follow the policy, so it gets adapters of its own, equal to the
            policy's for now; else it is the policy with its adapters off.

    Its parameters are only those of its own adapters: what moves, and what a checkpoint holds.
    """

    def __init__(self, policy: LogProbModel, *, moving: bool) -> None:
        super().__init__(policy.model)
        self._moving = moving
        if moving:
            _add_frozen_copy(cast("PeftModel", policy.model))
        from peft.tuners.tuners_utils import BaseTunerLayer

        # peft's own switches go through all modules and their gradients: 50 ms for 210 layers.
        self._layers: list[Any] = [m for m in self.modules() if isinstance(m, BaseTunerLayer)]

    def forward(self, batch: Batch, **settings: Any) -> LogProbs:
        """As `LogProbModel`, without gradient."""
        with torch.no_grad(), self._in_force():
            return super().forward(batch, **settings)

    def predictions(self, batch: Batch) -> LazyLogits | Tensor:
        """As `LogProbModel`."""
        with self._in_force():
            return super().predictions(batch)

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Those of the reference alone: the rest is the policy's."""
        every = super().named_parameters(prefix, recurse, remove_duplicate)
        return ((name, p) for name, p in every if FROZEN in name.split("."))

    @contextmanager
    def _in_force(self) -> Generator[None]:
        """The reference's adapters, or none, for this while only.

        Activation checkpointing runs the policy's forward again in its backward pass.
        """
        for layer in self._layers:
            if self._moving:
                layer._active_adapter = [FROZEN]
            else:
                layer._disable_adapters = True
        try:
            yield
        finally:
            for layer in self._layers:
                layer._active_adapter, layer._disable_adapters = [TRAINED], False


def forget_reference(model: "PeftModel") -> None:
    """Take the adapters of a moving reference out of a policy that had one."""
    if FROZEN in model.peft_config:
        with quiet():
            model.delete_adapter(FROZEN)


def _add_frozen_copy(model: "PeftModel") -> None:
    """A second set of adapters, equal to the first."""
    with quiet(), drawing_from(0):
        model.add_adapter(FROZEN, model.peft_config[TRAINED])
    cast(Any, model).base_model.set_adapter(TRAINED)
    own = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in own.items():
            parts = name.split(".")
            if FROZEN in parts:
                same = ".".join(TRAINED if part == FROZEN else part for part in parts)
                parameter.copy_(own[same])
                parameter.requires_grad_(False)
