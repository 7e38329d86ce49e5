"""The formulas once more, on the logits of a plain transformers model: a third opinion.

Where TRL and preftune differ, this says who computes what. Nothing of either is used.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import softplus
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM

from tests.field.rows import STEPS
from tests.field.trl_runs import Curve, Step


@dataclass(frozen=True)
class Side:
    """Log-probs of the tokens of one response, and of those before it."""

    prompt: Tensor
    """Of the prompt's tokens, from the second on."""
    tokens: Tensor
    frozen: Tensor
    """Of `tokens` under the model as it was at the start."""
    collision: Tensor
    """Of each token log sum_v p_v^2."""

    @property
    def ratio(self) -> Tensor:
        return self.tokens.sum() - self.frozen.sum()

    @property
    def likeliness(self) -> Tensor:
        """Log of WPO's weight of this response."""
        return (self.tokens.detach() - self.collision).mean()


@dataclass(frozen=True)
class Row:
    """A prompt's responses: chosen and rejected, or one with a thumb and one of another prompt."""

    first: Side
    second: Side
    good: bool | None

    @property
    def margin(self) -> Tensor:
        return self.first.ratio - self.second.ratio


Micro = Sequence[Row]
Formula = Callable[[Sequence[Micro]], Tensor]
"""From an optimiser step's micro-batches to its loss."""


def run_by_hand(folder: Path, formula: Formula, steps: Sequence[Step], *, lr: float) -> Curve:
    """Plain SGD on a formula, with all rows of a step padded into one batch."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        frozen = [[tokens for _, tokens, _ in _sides(model, step)] for step in steps]
    optimizer = torch.optim.SGD(model.parameters(), lr)
    losses: list[float] = []
    norms: list[float] = []
    for step, was in islice(cycle(zip(steps, frozen, strict=True)), STEPS):
        sides = [
            Side(before, tokens, old, collision)
            for (before, tokens, collision), old in zip(_sides(model, step), was, strict=True)
        ]
        loss = formula(_rows(step, sides))
        optimizer.zero_grad()
        loss.backward()
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        losses.append(loss.item())
        norms.append(torch.stack([one.norm() for one in gradients]).norm().item())
        optimizer.step()
    return Curve(tuple(losses), tuple(norms))


def _sides(model: torch.nn.Module, step: Step) -> list[tuple[Tensor, Tensor, Tensor]]:
    """For every response: log-probs of the prompt and of the response, and the collision."""
    whole = [
        (len(group.prompt_ids), torch.tensor([*group.prompt_ids, *response.ids]).long())
        for groups in step
        for group in groups
        for response in group.responses
    ]
    ids = pad_sequence([row for _, row in whole], batch_first=True)
    present = pad_sequence([torch.ones_like(row) for _, row in whole], batch_first=True)
    logps = model(input_ids=ids, attention_mask=present).logits.log_softmax(-1)[:, :-1]
    picked = logps.gather(2, ids[:, 1:, None]).squeeze(2)
    collision = (2 * logps.detach()).logsumexp(-1)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for number, (prompt, row) in enumerate(whole):
        begin, end = prompt - 1, len(row) - 1
        both = picked[number]
        found.append((both[:begin], both[begin:end], collision[number, begin:end]))
    return found


def _rows(step: Step, sides: list[Side]) -> list[Micro]:
    left = iter(sides)
    made: list[Micro] = []
    for groups in step:
        rows: list[Row] = []
        for group in groups:
            rating = group.responses[0].rating
            rows.append(Row(next(left), next(left), None if rating is None else rating.good))
        made.append(rows)
    return made


def over_all(loss: Callable[[Micro], Tensor]) -> Formula:
    """As if the step were one batch."""
    return lambda step: loss([row for micro in step for row in micro])


def mean_of_micro_batches(loss: Callable[[Micro], Tensor]) -> Formula:
    """Each micro-batch by itself, then the mean: TRL's gradient accumulation."""
    return lambda step: torch.stack([loss(micro) for micro in step]).mean()


def mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()


def logistic(z: Tensor, smoothing: float = 0.0) -> Tensor:
    return (1 - smoothing) * softplus(-z) + smoothing * softplus(z)


def dpo(rows: Micro, *, beta: float = 0.1, smoothing: float = 0.0) -> Tensor:
    return mean([logistic(beta * row.margin, smoothing) for row in rows])


def wpo(rows: Micro, *, beta: float, largest: float) -> Tensor:
    losses: list[Tensor] = []
    for row in rows:
        weight = (row.first.likeliness + row.second.likeliness).exp().clamp(max=largest)
        losses.append(weight * logistic(beta * row.margin))
    return mean(losses)


def aot(rows: Micro, *, beta: float) -> Tensor:
    now = torch.stack([row.first.tokens.sum() - row.second.tokens.sum() for row in rows])
    was = torch.stack([row.first.frozen.sum() - row.second.frozen.sum() for row in rows])
    return logistic(beta * (now.sort().values - was.sort().values)).mean()


def kto(rows: Micro, *, beta: float) -> Tensor:
    moved = mean([row.second.ratio for row in rows]).detach().clamp(min=0)
    signs = [1 if row.good else -1 for row in rows]
    kept = [
        torch.sigmoid(sign * beta * (row.first.ratio - moved))
        for sign, row in zip(signs, rows, strict=True)
    ]
    return 1 - mean(kept)


def bco(rows: Micro, *, beta: float, shifted: bool) -> Tensor:
    """Of pairs, each two thumbs: the sum of both, so twice the mean over responses."""
    yes = torch.stack([beta * row.first.ratio for row in rows])
    no = torch.stack([beta * row.second.ratio for row in rows])
    shift = (yes.mean() + no.mean()).detach() / 2 if shifted else 0.0
    return (logistic(yes - shift) + logistic(shift - no)).mean()


def token_mean(rows: Micro, *, prompts: bool = False) -> Tensor:
    """Negative log-likelihood over all tokens of the chosen responses, and of their prompts."""
    parts = [row.first.tokens for row in rows]
    if prompts:
        parts += [row.first.prompt for row in rows]
    return -torch.cat(parts).mean()


def response_mean(rows: Micro) -> Tensor:
    """The same per response, then the mean over responses."""
    return -mean([row.first.tokens.mean() for row in rows])


def cpo(rows: Micro, *, beta: float, likelihood: Callable[[Micro], Tensor]) -> Tensor:
    gaps = [row.first.tokens.sum() - row.second.tokens.sum() for row in rows]
    return mean([logistic(beta * gap) for gap in gaps]) + likelihood(rows)


def orpo(rows: Micro, *, lam: float, likelihood: Callable[[Micro], Tensor]) -> Tensor:
    def odds(side: Side) -> Tensor:
        share = side.tokens.mean()
        return share - torch.log1p(-share.exp())

    gaps = [odds(row.first) - odds(row.second) for row in rows]
    return likelihood(rows) + lam * mean([logistic(gap) for gap in gaps])


def dpo_with_likelihood(
    rows: Micro, *, alpha: float, likelihood: Callable[[Micro], Tensor]
) -> Tensor:
    return dpo(rows) + alpha * likelihood(rows)
