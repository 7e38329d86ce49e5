"""One update: gradient, checks, clipping, AdamW."""

import math
from collections.abc import Sequence

import torch

from preftune.errors import RunError
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
        RunError: loss or gradient is not finite (PT500); the weights are as before.
    """
    outcome = stepper.train(examples)
    parameters = list(stepper.model.parameters())
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    grad_norm = norm.item()
    if not (math.isfinite(outcome.loss) and math.isfinite(grad_norm)):
        optimizer.zero_grad(set_to_none=True)
        raise _not_finite(stepper, examples, outcome.loss, grad_norm)
    if max_grad_norm is not None:
        torch.nn.utils.clip_grads_with_norm_(parameters, max_grad_norm, norm)
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return outcome, grad_norm


def _not_finite(
    stepper: Stepper, examples: Sequence[Example], loss: float, grad_norm: float
) -> RunError:
    """Name the rows: each example of the step is run alone."""
    culprits = [example.group.source for example in examples if not _is_finite(stepper, example)]
    stepper.model.zero_grad(set_to_none=True)
    alone = culprits or [example.group.source for example in examples]
    shown = ", ".join(alone[:NAMED_ROWS])
    more = f" and {len(alone) - NAMED_ROWS:,} more" if len(alone) > NAMED_ROWS else ""
    return RunError(
        "PT500",
        f"the loss is {loss} and the gradient norm {grad_norm}"
        + ("; the rows that do it: " if culprits else "; no row does it alone; the step holds: ")
        + shown
        + more
        + ".",
        why="an update with it would destroy the weights; they are as before this step.",
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
    gradients = [p.grad for p in stepper.model.parameters() if p.grad is not None]
    return bool(torch.nn.utils.get_total_norm(gradients).isfinite())
