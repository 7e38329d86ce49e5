"""The same twenty steps by preftune's own objectives, and the comparison of both."""

import math
from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from preftune.models import LogProbModel, load_model
from preftune.models.adapters import add_adapters
from preftune.models.reference import score
from preftune.objectives.bound import BoundObjective
from preftune.training.reference import live_reference, move
from preftune.training.step import Example, Stepper
from preftune.training.update import update
from tests.field.rows import STEPS
from tests.field.trl_runs import Adapters, Curve, Groups, Step

RELATIVE = 1e-4


def run_ours(
    folder: Path,
    objective: BoundObjective,
    steps: Sequence[Step],
    *,
    lr: float,
    updates: int = STEPS,
    tokens_per_batch: int = 10**6,
    moving: tuple[int, float] | None = None,
    adapters: Adapters | None = None,
) -> Curve:
    """Plain SGD on the same tokens in the same order.

    Args:
        folder: The model.
        objective: Already bound to its settings.
        steps: One pass over the data; how steps were cut into micro-batches is not used.
        lr: Constant learning rate.
        updates: Number of steps.
        tokens_per_batch: How preftune cuts a step itself: that changes nothing but rounding.
        moving: The reference takes a share of the policy after every so many steps.
        adapters: What is trained instead of all weights.
    """
    start = deepcopy(_start(folder))
    model = LogProbModel(
        start
        if adapters is None
        else add_adapters(start, rank=adapters.rank, alpha=adapters.alpha, seed=adapters.seed)
    )
    whole = [[group for part in step for group in part] for step in steps[:updates]]
    reference = live_reference(model, objective, moving=moving is not None)
    examples = [_examples(model, groups, objective) for groups in whole]
    stepper = Stepper(model, objective, tokens_per_batch, "float32", reference)
    optimizer = torch.optim.SGD(model.parameters(), lr)
    losses: list[float] = []
    norms: list[float] = []
    for number, step in enumerate(islice(cycle(examples), updates), start=1):
        outcome, norm = update(stepper, optimizer, step, lr=lr, max_grad_norm=None)
        losses.append(outcome.loss)
        norms.append(norm)
        if moving is not None and reference is not None and number % moving[0] == 0:
            move(reference, model, moving[1])
    return Curve(tuple(losses), tuple(norms))


@cache
def _start(folder: Path) -> PreTrainedModel:
    return load_model(str(folder), dtype="float32")


def _examples(model: LogProbModel, groups: Groups, objective: BoundObjective) -> list[Example]:
    if objective.reference == "none":
        return [Example(group) for group in groups]
    return [
        Example(group, np.concatenate(arrays))
        for group, arrays in zip(groups, score(model, groups), strict=True)
    ]


def agree(ours: Curve, theirs: Curve) -> None:
    """Every loss and every gradient norm is the same within 1e-4 relative."""
    for name in ("losses", "norms"):
        both = zip(getattr(ours, name), getattr(theirs, name), strict=True)
        for step, (one, other) in enumerate(both):
            close = math.isclose(one, other, rel_tol=RELATIVE)
            assert close, f"{name} of step {step}: {one} against {other}"
