"""An objective as a curve: its loss and slope where one number of a record is varied."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from preftune.objectives import LogProbs
from preftune.objectives.binding import bind
from preftune.objectives.declaration import Objective

Floats = NDArray[np.float64]
TOKENS = 20
"""Of every response: curves of length-normalised losses depend on it."""

STILL = {"bco": ("good_reward", "bad_reward")}
"""Running values that are taken to be 0: a single response would move them with itself."""


@dataclass(frozen=True)
class Curve:
    """One line of a plot."""

    label: str
    x: Floats
    loss: Floats
    slope: Floats
    """dL/dx."""


@dataclass(frozen=True)
class Plot:
    """All lines of an objective, over the same axis."""

    axis: str
    curves: list[Curve]


def plot_of(objective: Objective) -> Plot:
    """The objective at its defaults, from one example whose log-probs are moved apart."""
    span = span_of(objective)
    if objective.data == "demonstrations":
        return Plot("log π(y | x), nats", [_curve(objective, "", _demonstration, -span, 0)])
    if objective.data == "thumbs":
        good, bad = (lambda x, up=up: _thumb(x, up) for up in (True, False))
        curves = [
            _curve(objective, "good response", good, -span, span),
            _curve(objective, "bad response", bad, -span, span),
        ]
        return Plot("log-ratio Δ, nats", curves)
    if objective.data in {"rankings", "scores"}:
        curves = [_curve(objective, "Δ = (x, 0, −x)", _three, -span, span)]
        return Plot("log-ratio x, nats", curves)
    if objective.data == "ties":
        curves = [
            _curve(objective, "judged better", lambda x: _pair(x, span), -span, span),
            _curve(objective, "judged equal", lambda x: _pair(x, span, tie=True), -span, span),
        ]
        return Plot("margin h, nats", curves)
    of = "ℓ" if objective.reference == "none" else "Δ"
    curve = _curve(objective, "", lambda x: _pair(x, span), -span, span)
    return Plot(f"{of} chosen − {of} rejected, nats, both moved alike", [curve])


def at_start(objective: Objective) -> tuple[float, float, float]:
    """Loss, dL/d log-prob of the better and of the worse response, policy = reference.

    Without a reference both responses have -1 nat a token. Thumbs: one good and one bad, added.
    """
    span = 2.0 * TOKENS
    if objective.data == "demonstrations":
        records = [_demonstration(torch.tensor(-1.0 * TOKENS, dtype=torch.float64))]
    elif objective.data == "thumbs":
        zero = torch.zeros((), dtype=torch.float64)
        records = [_thumb(zero, good=True), _thumb(zero, good=False)]
    elif objective.data in {"rankings", "scores"}:
        records = [_three(torch.zeros((), dtype=torch.float64))]
    else:
        records = [_pair(torch.zeros((), dtype=torch.float64), span)]
    loss, slopes = 0.0, list[float]()
    for record in records:
        leaf = replace(record, tokens=record.tokens.detach().requires_grad_())
        value = _loss(objective, leaf)
        loss += value.item()
        (by_token,) = torch.autograd.grad(value, leaf.tokens)
        own = [one for one in leaf.members[0].tolist() if one >= 0]
        slopes += [by_token[leaf.response == one][0].item() for one in own]
    return loss, slopes[0], slopes[-1] if len(slopes) > 1 else 0.0


def span_of(objective: Objective) -> float:
    """How far to look: some units of the objective's own scale, in nats."""
    settings = {key: setting.default for key, setting in objective.settings.items()}
    if "tau" in settings and "beta" not in settings:
        per_token = TOKENS if objective.name == "ipo_mean" else 1
        return 1.5 / settings["tau"] * per_token
    by_mean = "mean" in objective.reward or objective.name in {"orpo", "alphapo", "dpo_norm"}
    scale = 6.0 * (TOKENS if by_mean else 1)
    return float(np.clip(scale / settings.get("beta", 1.0), 10.0, 400.0))


def _curve(
    objective: Objective,
    label: str,
    record: Callable[[torch.Tensor], LogProbs],
    low: float,
    high: float,
) -> Curve:
    xs = np.linspace(low, high - 1e-3, 241)
    losses, slopes = [], []
    for x in xs:
        leaf = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        value = _loss(objective, record(leaf))
        (slope,) = torch.autograd.grad(value, leaf, allow_unused=True, materialize_grads=True)
        losses.append(value.item())
        slopes.append(slope.item())
    return Curve(label, xs, np.array(losses), np.array(slopes))


def _loss(objective: Objective, record: LogProbs) -> torch.Tensor:
    still = {name: torch.zeros((), dtype=torch.float64) for name in STILL.get(objective.name, ())}
    return bind(objective.name).parts[0](record, still).sum()


def _spread(total: torch.Tensor) -> torch.Tensor:
    return (total / TOKENS).expand(TOKENS)


def _record(ratios: list[torch.Tensor], base: float, relations: list[tuple[int, int]]) -> LogProbs:
    """Responses of `base` nats each, moved by their log-ratio."""
    start = [torch.full((TOKENS,), base / TOKENS, dtype=torch.float64) for _ in ratios]
    tokens = [_spread(base + ratio) for ratio in ratios]
    record = LogProbs.of_groups([tokens], reference=[start], relations=relations)
    zeros = torch.zeros_like(record.tokens)
    return replace(record, kl=zeros, collision=record.tokens.detach())


def _pair(h: torch.Tensor, span: float, *, tie: bool = False) -> LogProbs:
    record = _record([h / 2, -h / 2], -(span / 2 + 1.0), [(0, 1)])
    score = torch.tensor([1.0, 0.0], dtype=torch.float64)
    return replace(
        record, margin=torch.ones(1, dtype=torch.float64), tie=torch.tensor([tie]), score=score
    )


def _demonstration(total: torch.Tensor) -> LogProbs:
    return LogProbs.of_groups([[_spread(total)]])


def _thumb(ratio: torch.Tensor, good: bool) -> LogProbs:
    """With an unmoved response to another prompt: the KL is taken to be 0."""
    record = _record([ratio, torch.zeros_like(ratio)], -1000.0, [])
    return replace(
        record,
        good=torch.tensor([1.0 if good else -1.0, 0.0], dtype=torch.float64),
        mismatched=torch.tensor([False, True]),
        members=torch.tensor([[0]]),
    )


def _three(x: torch.Tensor) -> LogProbs:
    record = _record([x, torch.zeros_like(x), -x], -1000.0, [])
    score = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64)
    return replace(record, rank=torch.tensor([0, 1, 2]), score=score)
