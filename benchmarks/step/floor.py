"""The floor of a step: its arithmetic at the fastest rate this machine multiplies matrices at."""

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import harmonic_mean
from typing import Any

from benchmarks.step.contestant import RANK, Conditions
from benchmarks.step.data import Pair
from benchmarks.step.shapes import Shape
from benchmarks.step.turns import environment

REPEATS = 4


def step_flops(shape: Shape, batch: Sequence[Pair], *, lora: bool = False) -> float:
    """Floating-point operations that a step can't do without, recomputing the head's logits.

    6 N T for the layers (4 N T where they are frozen, and the adapters'), attention once forward
    and twice backward, 8 d V for each response token (6 where the output layer is frozen).
    """
    tokens = sum(pair.unique for pair in batch)
    responses = sum(pair.responses for pair in batch)
    visible = sum(pair.visible for pair in batch)
    width = shape.heads * shape.head_width
    layers = (4 if lora else 6) * shape.layer_parameters * tokens
    if lora:
        layers += 6 * RANK * shape.layers * sum(sum(pair) for pair in shape.matrices) * tokens
    attention = 3 * 4 * width * visible * shape.layers
    head = (6 if lora else 8) * shape.width * shape.vocabulary * responses
    return layers + attention + head


def ceiling(shape: Shape, tokens: int, conditions: Conditions) -> dict[str, float]:
    """Operations per second, measured in a process of its own.

    Returns:
        `best` over the model's own matmuls, forward and both backward ones, and the `mean` rate of
        a step that did nothing else.
    """
    threads = {"OMP_NUM_THREADS": str(conditions.threads)}
    with environment(threads), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure, shape, tokens, conditions).result()


def _measure(shape: Shape, tokens: int, conditions: Conditions) -> dict[str, float]:
    import torch

    torch.set_num_threads(conditions.threads)
    dtype, device = getattr(torch, conditions.dtype), conditions.device
    rates: list[float] = []
    for rows, columns in sorted(set(shape.matrices)):
        hidden = torch.randn(tokens, rows, dtype=dtype, device=device)
        slope = torch.randn(tokens, columns, dtype=dtype, device=device)
        weight = torch.randn(columns, rows, dtype=dtype, device=device)
        for left, right in ((hidden, weight.T), (slope, weight), (slope.T, hidden)):
            seconds = min(_seconds(left, right, device) for _ in range(REPEATS))
            rates.append(2 * tokens * rows * columns / seconds)
    return {"best": max(rates), "mean": harmonic_mean(rates)}


def _seconds(left: Any, right: Any, device: str) -> float:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    left @ right
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
