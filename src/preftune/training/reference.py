"""The live reference: kept beside the policy where the cache can't serve it, and moved if asked."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from preftune.models import LogProbModel
from preftune.models.adapters import has_adapters
from preftune.models.shared_reference import SharedReference
from preftune.objectives.bound import BoundObjective
from preftune.training.masters import join, split, whole


def live_reference(
    policy: LogProbModel, objective: BoundObjective, *, moving: bool
) -> LogProbModel | None:
    """The policy as it is now, frozen; none where log-probs from the cache will do.

    A copy where every weight is trained; under adapters, the same weights without them or with
    frozen ones.

    Args:
        policy: The policy at its start.
        objective: What the run minimises.
        moving: The reference will follow the policy.
    """
    if not moving and objective.reference != "distribution":
        return None
    if has_adapters(policy.model):
        return SharedReference(policy, moving=moving)
    frozen = deepcopy(policy.model).requires_grad_(False).eval()
    return MovingReference(frozen) if moving else LogProbModel(frozen)


class MovingReference(LogProbModel):
    """A copy that moves. Small moves add up: what bfloat16 weights can't hold is kept beside them.

    It scores with the weights as the policy does, so that where both are the same they agree to the
    last bit.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        narrow = [p for p in model.parameters() if p.dtype == torch.bfloat16]
        self.low = nn.ParameterList([nn.Parameter(whole(p), False) for p in narrow])
        """Of each bfloat16 weight, as in `masters`. Parameters, so that checkpoints hold them."""


@torch.no_grad()
def move(reference: LogProbModel, policy: LogProbModel, mix: float) -> None:
    """Reference <- mix policy + (1 - mix) reference (TR-DPO, arXiv:2404.09656, Eq. 3 and 4).

    Under adapters the trained matrices are mixed, not their products.
    """
    moved = list(policy.parameters())
    if isinstance(reference, SharedReference):
        moved = [parameter for parameter in moved if parameter.requires_grad]
    kept = list(reference.low) if isinstance(reference, MovingReference) else []
    olds = list(reference.parameters())[: len(moved)]
    lows = iter(kept)
    for old, new in zip(olds, moved, strict=True):
        low = next(lows) if kept and old.dtype == torch.bfloat16 else None
        _mix(old, new, low, mix)


def _mix(old: Tensor, new: Tensor, low: Tensor | None, mix: float) -> None:
    if mix == 1:  # exactly: a - (a - b) need not be b
        old.copy_(new)
        if low is not None:
            low.zero_()
    elif low is None:
        old.lerp_(new, mix)
    else:
        wide = torch.empty_like(old, dtype=torch.float32).view(-1)
        join(old.view(-1), low.view(-1), wide, torch.empty_like(wide, dtype=torch.int32))
        split(wide.lerp_(new.reshape(-1).float(), mix), old.view(-1), low.view(-1))
