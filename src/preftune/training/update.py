"""One update: gradient, checks, clipping, AdamW."""

import math
from collections.abc import Sequence

import torch

from preftune.errors import RunError
from preftune.training.adamw import PiecewiseAdamW
from preftune.training.gradients import clip_factor, sum_gradients_of, total_norm
from preftune.training.in_backward import BackwardAdamW
from preftune.training.step import Example, Outcome, Stepper

NAMED_ROWS = 5
"""Rows named in the message about a non-finite loss."""


def update(
    stepper: Stepper,
    optimizer: torch.optim.Optimizer,
    examples: Sequence[Example],
    *,
    lr: float,
    max_grad_norm: float | None,
) -> tuple[Outcome, float]:
    """Gradient, checks, clipping, one AdamW update. Returns the figures and the gradient norm.

    Raises:
        RunError: loss or gradient is not finite (PT500). The weights are as before, unless they
            move in the backward pass and only a gradient is to blame.
    """
    for group in optimizer.param_groups:
        group["lr"] = lr
    model, num_batches = stepper.model, stepper.num_batches(examples)
    sum_gradients_of(model, num_batches=num_batches)
    if isinstance(optimizer, BackwardAdamW):
        return _in_backward(stepper, optimizer, examples)
    outcome = stepper.train(examples)
    norm = total_norm(model)
    grad_norm = norm.item()
    if not (math.isfinite(outcome.loss) and math.isfinite(grad_norm)):
        optimizer.zero_grad(set_to_none=True)
        raise _not_finite(stepper, examples, outcome.loss, grad_norm, untouched=True)
    if isinstance(optimizer, PiecewiseAdamW):
        optimizer.step(factor=clip_factor(norm, max_grad_norm))
    else:
        if max_grad_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(model.parameters(), max_grad_norm, norm)
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return outcome, grad_norm


def _in_backward(
    stepper: Stepper, optimizer: BackwardAdamW, examples: Sequence[Example]
) -> tuple[Outcome, float]:
    """The same with the weights moving in the backward pass. What is not finite stops them."""
    with optimizer.armed():
        outcome = stepper.train(examples, watch_loss=optimizer.watch_loss)
    grad_norm = optimizer.grad_norm().item()
    optimizer.zero_grad(set_to_none=True)
    finite = math.isfinite(outcome.loss)
    if not (finite and math.isfinite(grad_norm)):
        raise _not_finite(stepper, examples, outcome.loss, grad_norm, untouched=not finite)
    return outcome, grad_norm


def _not_finite(
    stepper: Stepper, examples: Sequence[Example], loss: float, norm: float, *, untouched: bool
) -> RunError:
    """Name the rows: each example of the step is run alone."""
    culprits = [example.group.source for example in examples if not _is_finite(stepper, example)]
    stepper.model.zero_grad(set_to_none=True)
    alone = culprits or [example.group.source for example in examples]
    shown = ", ".join(alone[:NAMED_ROWS])
    more = f" and {len(alone) - NAMED_ROWS:,} more" if len(alone) > NAMED_ROWS else ""
    return RunError(
        "PT500",
        f"the loss is {loss} and the gradient norm {norm}"
        + ("; the rows that do it: " if culprits else "; no row does it alone; the step holds: ")
        + shown
        + more
        + ".",
        why="an update with it would destroy the weights; "
        + (
            "they are as before this step."
            if untouched
            else "those whose gradients came before it have moved, so the newest checkpoint counts."
        ),
        fix="look at the rows, or lower optimizer.lr"
        + ("." if stepper.precision == "float32" else ", or set precision=float32."),
    )


def _is_finite(stepper: Stepper, example: Example) -> bool:
    stepper.model.zero_grad(set_to_none=True)
    losses = stepper.losses(stepper.forward([example]), [1.0] * len(stepper.objective.parts))
    loss = stepper.weighed(losses)
    if not loss.isfinite():
        return False
    loss.backward()
    return bool(total_norm(stepper.model).isfinite())
