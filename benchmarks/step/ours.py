"""preftune's own step, as `preftune train` takes it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.step.contestant import LEARNING_RATE, RANK, Conditions, Contestant
from benchmarks.step.data import Pair
from benchmarks.step.memory import Peak
from benchmarks.step.turns import Turns

MAX_GRAD_NORM = 1.0
"""As TRL's default."""
SEED = 42
"""As TRL's default: adapters start from the same random numbers."""


def run(
    contestant: Contestant,
    conditions: Conditions,
    batches: Sequence[Sequence[Pair]],
    turns: Turns,
) -> None:
    """Train until there are no more turns."""
    import torch

    from preftune.objectives.binding import bind
    from preftune.training.optimizer import make_optimizer
    from preftune.training.policy import load_policy
    from preftune.training.step import Stepper
    from preftune.training.update import update

    torch.set_flush_denormal(True)  # as `train` does
    peak = Peak(conditions.device)
    settings = _settings(contestant, conditions)
    policy = load_policy(settings)
    model, reference = policy.model, None
    if contestant.rung:
        from benchmarks.step.ladder import climb

        model, reference = climb(contestant.rung, policy.model)
    stepper = Stepper(model, bind("dpo"), settings.tokens_per_batch, policy.precision, reference)
    optimizer = make_optimizer(model, settings.optimizer)
    steps = [_examples(stepper, batch) for batch in batches]
    going, number = turns.ready(), 0
    while going:
        outcome, _ = update(
            stepper,
            optimizer,
            steps[number % len(steps)],
            lr=LEARNING_RATE,
            max_grad_norm=MAX_GRAD_NORM,
        )
        number += 1
        going = turns.took(lambda loss=outcome.loss: loss, peak.bytes)


def _settings(contestant: Contestant, conditions: Conditions) -> Any:
    from preftune.training.runfile import resolve

    given: dict[str, Any] = {
        "model": conditions.model,
        "data.train": "not read",
        "objective": "dpo",
        "precision": conditions.dtype,
        "out": "not written",
    }
    if conditions.lora:
        given |= {"lora": {"rank": RANK}, "seed": SEED}
    return resolve(None, {**given, **contestant.settings}).settings


def _examples(stepper: Any, batch: Sequence[Pair]) -> list[Any]:
    """Groups with the reference's log-probs, as the run has them from its cache."""
    from preftune.models.precision import matmuls_in
    from preftune.models.reference import score
    from preftune.training.step import Example

    groups = [pair.group() for pair in batch]
    if stepper.reference is not None:
        return [Example(group) for group in groups]
    with matmuls_in(stepper.precision, stepper.model.device):
        scored = score(stepper.model, groups)
    return [
        Example(group, np.concatenate(arrays)) for group, arrays in zip(groups, scored, strict=True)
    ]
