"""One optimiser step: micro-batches in, one gradient out, each example weighing what it should."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from preftune.batching import fill_windows, pack, to_device
from preftune.models.precision import MatmulPrecision, matmuls_in
from preftune.models.root import LogProbModel
from preftune.objectives import LogProbs
from preftune.objectives.bound import BoundObjective, State
from preftune.objectives.metrics import Measures, measures
from preftune.records import TokenGroup
from preftune.training import processes
from preftune.training.denominators import denominators
from preftune.training.whole_step import Places, WholeStep


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A group and, where the cache serves it, the reference's log-probs of its responses."""

    group: TokenGroup
    reference: NDArray[np.float32] | None = None

    def matched(self) -> "Example":
        """Without the response of another prompt, which stands last and is never trained."""
        if not self.group.responses[-1].mismatched:
            return self
        own = self.group.responses[:-1]
        tokens = sum(len(response.ids) for response in own)
        reference = None if self.reference is None else self.reference[:tokens]
        return Example(replace(self.group, responses=own), reference)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step or an evaluation measured, reduced once."""

    loss: float
    """The objective over its declared denominator."""
    means: dict[str, float]
    tokens: int
    """Tokens laid out."""


def _unwatched(_: Tensor) -> None:
    pass


@dataclass(frozen=True, slots=True, eq=False)
class Stepper:
    """Runs the objective over examples, in micro-batches of `tokens_per_batch` tokens.

    How a step is cut into micro-batches, and over how many processes, changes nothing but rounding:
    losses are divided by counts over the whole step, and objectives that need statistics of the
    whole step see all of it at once.
    """

    model: LogProbModel
    objective: BoundObjective
    tokens_per_batch: int
    precision: MatmulPrecision
    reference: LogProbModel | None = None
    """Kept live where the cache can't serve it: it moves, or its whole distribution is needed."""
    states: list[State] = field(default_factory=list[State])
    """What each part of the objective keeps from step to step."""

    def __post_init__(self) -> None:
        self.states.extend({} for _ in self.objective.parts[len(self.states) :])

    def train(
        self, examples: Sequence[Example], *, watch_loss: Callable[[Tensor], None] = _unwatched
    ) -> Outcome:
        """Add up the gradient of the step's loss. The caller clips and updates.

        Args:
            examples: The step's.
            watch_loss: Told of every loss () just before its backward pass.
        """
        parts, sums = self.add_up(examples, watch_loss=watch_loss)
        outcome = self._outcome(parts, sums, examples)
        processes.add_up_gradients(self.model)
        return outcome

    def evaluate(self, examples: Sequence[Example]) -> Outcome:
        """The same figures without gradient, and without a trace in `states`."""
        with torch.no_grad():
            parts, sums = self.add_up(examples, learn=False)
        return self._outcome(parts, sums, examples)

    def kept(self) -> tuple[dict[str, float], ...]:
        """`states` as numbers, for a checkpoint."""
        return tuple({name: one.item() for name, one in state.items()} for state in self.states)

    def restore(self, kept: Sequence[Mapping[str, float]]) -> None:
        """Take `states` back from a checkpoint."""
        device = self.model.device
        for number, state in enumerate(kept):
            self.states[number] = {
                name: torch.tensor(one, device=device) for name, one in state.items()
            }

    def num_batches(self, examples: Sequence[Example]) -> int:
        """Micro-batches of the step, over all processes."""
        return len(self._batches(examples))

    def _batches(self, examples: Sequence[Example]) -> list[list[int]]:
        lengths = [example.group.length for example in examples]
        batches = fill_windows(lengths, self.tokens_per_batch)
        if self.objective.whole_step:  # some draw lots: in the examples' order, however it is cut
            batches = [sorted(part) for part in batches]
        return batches

    def add_up(
        self,
        examples: Sequence[Example],
        *,
        learn: bool = True,
        watch_loss: Callable[[Tensor], None] = _unwatched,
    ) -> tuple[Tensor, Measures]:
        """(part,) losses and what is measured, still on the device: nothing has waited for it.

        Args:
            examples: The step's.
            learn: Add up the gradient, and move on what the objective keeps from step to step.
            watch_loss: Told of every loss () just before its backward pass.
        """
        counts = denominators(self.objective, [example.group for example in examples])
        batches = self._batches(examples)
        if self._needs_two_passes(batches):
            return self._in_two_passes(examples, batches, counts, learn, watch_loss)
        return self._in_one_pass(examples, batches, counts, learn, watch_loss)

    def _outcome(self, losses: Tensor, sums: Measures, examples: Sequence[Example]) -> Outcome:
        values = cast(list[float], losses.tolist())
        parts = list(zip(self.objective.parts, values, strict=True))
        means = sums.means()
        if len(parts) > 1:
            means |= {f"loss_{part.objective.name}": value for part, value in parts}
        tokens = sum(example.group.length for example in examples)
        return Outcome(sum(part.weight * value for part, value in parts), means, tokens)

    def _needs_two_passes(self, batches: Sequence[Sequence[int]]) -> bool:
        """Statistics of the whole step are needed, and no one micro-batch is the whole step."""
        cut = len(batches) > 1 or processes.count() > 1
        return self.objective.whole_step and (cut or self.objective.mismatched)

    def _in_one_pass(
        self,
        examples: Sequence[Example],
        batches: Sequence[list[int]],
        counts: Sequence[float],
        learn: bool,
        watch_loss: Callable[[Tensor], None],
    ) -> tuple[Tensor, Measures]:
        """Each micro-batch forward and backward in turn."""
        parts = torch.zeros(len(counts), dtype=torch.float64, device=self.model.device)
        sums: Measures | None = None
        share = processes.share(batches)
        for part in share or batches[:1]:  # a process without work still says what is measured
            logps = self.forward([examples[index] for index in part])
            losses = self.losses(logps, counts, learn=learn) * bool(share)
            if learn:
                loss = self.weighed(losses)
                watch_loss(loss)
                loss.backward()
            parts += losses.detach()
            found = self._measures(logps).times(int(bool(share)))
            sums = found if sums is None else sums + found
        assert sums is not None, "a step holds at least one example"
        processes.add_up(parts, sums.sums, sums.counts)
        return parts, sums

    def _in_two_passes(
        self,
        examples: Sequence[Example],
        batches: Sequence[list[int]],
        counts: Sequence[float],
        learn: bool,
        watch_loss: Callable[[Tensor], None],
    ) -> tuple[Tensor, Measures]:
        """Score everything without gradient, differentiate the whole, then go back in parts."""
        device, dtype = self.model.device, self.model.log_prob_dtype
        whole = WholeStep([example.group for example in examples], device, dtype)
        with torch.no_grad():
            for part in processes.share(batches):
                whole.take(part, self.forward([examples[index] for index in part]))
        record = whole.record()
        with torch.set_grad_enabled(learn):
            losses = self.losses(record, counts, learn=learn)
        if learn:
            loss = self.weighed(losses)
            watch_loss(loss)
            slopes = whole.slopes(loss, record)
            for part in processes.share(batches):
                # What answers another prompt has no gradient: it is left out of this pass.
                logps = self.forward([examples[index].matched() for index in part], again=True)
                slopes.send_back(logps, Places.matched(whole, part))
        return losses.detach(), self._measures(record)

    def _measures(self, logps: LogProbs) -> Measures:
        return measures(logps, self.objective.main.reward, self.objective.figures)

    def weighed(self, losses: Tensor) -> Tensor:
        """() what is minimised: the parts' losses, each times its weight."""
        weights = [part.weight for part in self.objective.parts]
        found = [weight * loss for weight, loss in zip(weights, losses.unbind(), strict=True)]
        return torch.stack(found).sum()

    def losses(self, logps: LogProbs, counts: Sequence[float], *, learn: bool = False) -> Tensor:
        """(part,) float64 losses of one record, each over its count of the whole step."""
        found: list[Tensor] = []
        for number, (part, count) in enumerate(zip(self.objective.parts, counts, strict=True)):
            state = self.states[number]
            if part.objective.running and (learn or not state):
                state = part.next_state(logps.detach(), state)
            if learn:
                self.states[number] = state
            # A step may hold nothing that a part of a mixture learns from: only bad thumbs for sft.
            found.append(part(logps, state).sum().double() * (1 / count if count else 0.0))
        return torch.stack(found)

    def forward(self, examples: Sequence[Example], *, again: bool = False) -> LogProbs:
        """Log-probs of one micro-batch, with the reference's beside them.

        Args:
            examples: The micro-batch.
            again: Only what has a gradient is wanted; the rest is known.
        """
        batch = pack([example.group for example in examples]).to(self.model.device)
        kl = "kl" in self.objective.vocabulary
        collision = "collision" in self.objective.vocabulary and not again
        live = self.reference if kl or not again else None
        with matmuls_in(self.precision, self.model.device):
            logps = self.model(batch, collision=collision, kl=kl, reference=live)
        if again:
            return logps
        references = [example.reference for example in examples]
        if self.reference is not None or references[0] is None:
            return logps
        joined = np.concatenate([array for array in references if array is not None])
        reference = to_device(torch.from_numpy(joined), self.model.device)
        return logps.with_reference(reference.to(logps.tokens.dtype))
