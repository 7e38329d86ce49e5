"""The live reference: kept beside the policy where the cache can't serve it, and moved if asked."""

from copy import deepcopy

import torch

from preftune.models import LogProbModel
from preftune.models.adapters import has_adapters
from preftune.models.shared_reference import SharedReference
from preftune.objectives.bound import BoundObjective


def live_reference(
    policy: LogProbModel, objective: BoundObjective, *, moving: bool
) -> LogProbModel | None:
    """The policy as it is now, frozen; none where log-probs from the cache will do.

    A copy where every weight is trained; under adapters, the same weights without them or with
    frozen ones.

    Args:
        policy: The policy at its start.
        objective: What the run minimises.
        moving: The reference will follow the policy. A copy of bfloat16 weights is then kept in
            float32: a small move would be rounded away.
    """
    if not moving and objective.reference != "distribution":
        return None
    if has_adapters(policy.model):
        return SharedReference(policy, moving=moving)
    frozen = deepcopy(policy.model).requires_grad_(False).eval()
    if moving and policy.log_prob_dtype == torch.float32:
        frozen.float()
    return LogProbModel(frozen)


@torch.no_grad()
def move(reference: LogProbModel, policy: LogProbModel, mix: float) -> None:
    """Reference <- mix policy + (1 - mix) reference (TR-DPO, arXiv:2404.09656, Eq. 3 and 4).

    Under adapters the trained matrices are mixed, not their products.
    """
    moved = list(policy.parameters())
    if isinstance(reference, SharedReference):
        moved = [parameter for parameter in moved if parameter.requires_grad]
    for old, new in zip(reference.parameters(), moved, strict=True):
        if mix == 1:  # exactly: a - (a - b) need not be b
            old.copy_(new)
        else:
            old.lerp_(new.to(old.dtype), mix)
