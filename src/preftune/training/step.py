"""One optimiser step: micro-batches in, one update out, each example weighing what it should."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from preftune.batching import fill_windows, pack
from preftune.errors import RunError
from preftune.models.precision import MatmulPrecision, matmuls_in
from preftune.models.root import LogProbModel
from preftune.objectives import LogProbs
from preftune.objectives.binding import BoundObjective
from preftune.objectives.metrics import Measures, measures
from preftune.records import TokenGroup

NAMED_ROWS = 5
"""Rows named in the message about a non-finite loss."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A group and, where the objective needs it, the reference's log-probs of its responses."""

    group: TokenGroup
    reference: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step or an evaluation measured, reduced once."""

    loss: float
    """The objective over its declared denominator."""
    means: dict[str, float]
    tokens: int
    """Tokens laid out."""


@dataclass(frozen=True, slots=True, eq=False)
class Stepper:
    """Runs the objective over examples, in micro-batches of `tokens_per_batch` tokens."""

    model: LogProbModel
    objective: BoundObjective
    tokens_per_batch: int
    precision: MatmulPrecision

    def train(self, examples: Sequence[Example]) -> Outcome:
        """Add up the gradient of the step's loss. The caller clips and updates."""
        return self._run(examples, learn=True)

    def evaluate(self, examples: Sequence[Example]) -> Outcome:
        """The same figures without gradient."""
        with torch.no_grad():
            return self._run(examples, learn=False)

    def _run(self, examples: Sequence[Example], *, learn: bool) -> Outcome:
        count = denominator(self.objective.objective, examples)
        total = torch.zeros((), dtype=torch.float64, device=self.model.device)
        sums: Measures | None = None
        for logps in self._forward(examples):
            # Divided by the whole step's count: how the step is cut must not change the result.
            loss = self.objective(logps).sum() / count
            if learn:
                loss.backward()
            total += loss.detach()
            part = measures(logps, self.objective.beta)
            sums = part if sums is None else sums + part
        assert sums is not None, "a step holds at least one example"
        tokens = sum(example.group.length for example in examples)
        return Outcome(total.item(), sums.means(), tokens)

    def _forward(self, examples: Sequence[Example]) -> Iterator[LogProbs]:
        for part in fill_windows(
            [example.group.length for example in examples], self.tokens_per_batch
        ):
            yield self.forward([examples[index] for index in part])

    def forward(self, examples: Sequence[Example]) -> LogProbs:
        """Log-probs of one micro-batch, with the reference's beside them."""
        batch = pack([example.group for example in examples]).to(self.model.device)
        with matmuls_in(self.precision, self.model.device):
            logps = self.model(batch)
        references = [example.reference for example in examples]
        if references[0] is None:
            return logps
        joined = np.concatenate([array for array in references if array is not None])
        return logps.with_reference(torch.from_numpy(joined).to(logps.tokens))


def denominator(objective: Objective, examples: Sequence[Example]) -> int:
    """What the sum of the losses is divided by: counted over the step, before the model runs."""
    groups = [example.group for example in examples]
    match objective.denominator:
        case "pairs":
            return sum(len(group.relations) for group in groups)
        case "prompts":
            return len(groups)
        case "responses":
            return sum(len(group.responses) for group in groups)
        case "tokens":
            return sum(int(side.trained.sum()) for group in groups for side in group.responses)


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
        fix="look at the rows, lower optimizer.lr, or set precision=float32.",
    )


def _is_finite(stepper: Stepper, example: Example) -> bool:
    stepper.model.zero_grad(set_to_none=True)
    loss: Tensor = stepper.objective(stepper.forward([example])).sum()
    if not loss.isfinite():
        return False
    loss.backward()
    gradients = [p.grad for p in stepper.model.parameters() if p.grad is not None]
    return bool(torch.nn.utils.get_total_norm(gradients).isfinite())
