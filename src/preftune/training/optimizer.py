"""Which AdamW a run takes, and the learning rate as a pure function of the step."""

import math
from typing import Any

import torch
from torch import nn

from preftune.training.adamw import PiecewiseAdamW
from preftune.training.config import OptimizerSettings
from preftune.training.eight_bits import num_blocks
from preftune.training.in_backward import BackwardAdamW

SMALL = 4096
"""Weights of fewer numbers keep float32 moments (arXiv:2110.02861, section 2)."""


def make_optimizer(model: nn.Module, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """AdamW over the trainable parameters; only matrices are decayed.

    Weights and moments in float32 take torch's own; else see `PiecewiseAdamW` and `BackwardAdamW`.

    Args:
        model: Its weights, in the dtype and on the device in which they will be trained.
        settings: Name, decay, and whether updates run in the backward pass.
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trainable if p.ndim >= 2]
    vectors = [p for p in trainable if p.ndim < 2]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    betas, eps = (settings.beta1, settings.beta2), settings.eps
    rounded = rounded_moments(model) if settings.name == "adamw-8bit" else []
    if settings.in_backward:
        return BackwardAdamW(groups, betas=betas, eps=eps, rounded=rounded)
    if rounded or any(p.dtype == torch.bfloat16 for p in trainable):
        return PiecewiseAdamW(groups, betas=betas, eps=eps, rounded=rounded)
    return torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=eps, fused=True)  # rate: every step


def rounded_moments(model: nn.Module) -> list[nn.Parameter]:
    """The weights whose moments `adamw-8bit` keeps in 8 bits.

    All trainable ones of `SMALL` numbers or more, except embeddings: theirs differ too much from
    row to row (arXiv:2110.02861, section 2.3).
    """
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    return [
        p
        for p in model.parameters()
        if p.requires_grad and p.numel() >= SMALL and id(p) not in embeddings
    ]


def optimizer_bytes(model: nn.Module, settings: OptimizerSettings) -> int:
    """Memory of the optimiser's state, from shapes and dtypes alone: a model on `meta` will do.

    For each number two moments of 4 bytes, or of 1 byte and a 64th; and of a bfloat16 weight the
    2 bytes that make it a float32.
    """
    in_8_bits = rounded_moments(model) if settings.name == "adamw-8bit" else []
    rounded = {id(parameter) for parameter in in_8_bits}
    total = 0
    for parameter in model.parameters():
        if parameter.requires_grad:
            count = parameter.numel()
            low = 2 * count if parameter.dtype == torch.bfloat16 else 0
            each = count + 4 * num_blocks(count) if id(parameter) in rounded else 4 * count
            total += 4 + 2 * each + low  # 4: the count of steps
    return total


def learning_rate(step: int, num_steps: int, peak: float, settings: OptimizerSettings) -> float:
    """Rate of step `step` (from 0): a linear rise, then the schedule's decay towards 0.

    >>> plain = OptimizerSettings(warmup_fraction=0.5)
    >>> [learning_rate(step, 4, 1.0, plain) for step in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    warmup = round(settings.warmup_fraction * num_steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, num_steps - warmup)
    if settings.schedule == "linear":
        return peak * (1 - done)
    if settings.schedule == "cosine":
        return peak * 0.5 * (1 + math.cos(math.pi * done))
    return peak
