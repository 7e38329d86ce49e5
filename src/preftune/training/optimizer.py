"""AdamW in float32, and the learning rate as a pure function of the step."""

import math

import torch
from torch import nn

from preftune.training.config import OptimizerSettings


def make_optimizer(model: nn.Module, settings: OptimizerSettings) -> torch.optim.AdamW:
    """Fused AdamW over the trainable parameters; only matrices are decayed."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trainable if p.ndim >= 2]
    vectors = [p for p in trainable if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=0.0,  # set anew at every step
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
        fused=True,
    )


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
