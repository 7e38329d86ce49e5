"""The head alone: fused log-probs beside plain log-softmax over all logits."""

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import median
from typing import Any

from benchmarks.step.memory import Peak
from benchmarks.step.turns import environment

WIDTH, VOCABULARY, ROWS = 896, 151_936, 800
WAYS = ("plain", "fused")


def head_alone(
    dtype: str, threads: int, *, rounds: int = 3, vocabulary: int = VOCABULARY
) -> list[dict[str, Any]]:
    """Seconds and extra bytes of forward and backward of both, one row each."""
    found: list[dict[str, Any]] = []
    for way in WAYS:
        with (
            environment({"OMP_NUM_THREADS": str(threads)}),
            ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        ):
            arguments = (way, dtype, threads, rounds, vocabulary)
            found.append(pool.submit(_measure, *arguments).result())
    return found


def _measure(way: str, dtype: str, threads: int, rounds: int, vocabulary: int) -> dict[str, Any]:
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    kind: dict[str, Any] = {"dtype": getattr(torch, dtype), "device": device}
    hidden = torch.randn(ROWS, WIDTH, **kind).requires_grad_()
    weight = torch.randn(vocabulary, WIDTH, **kind).mul_(0.02).requires_grad_()
    targets = torch.randint(vocabulary, (ROWS,), device=device)
    log_probs = _plain if way == "plain" else _fused
    seconds: list[float] = []
    _once(log_probs, hidden[:64], weight, targets[:64])  # libraries loaded, threads started
    hidden.grad = weight.grad = None
    peak = Peak(device)
    for _ in range(rounds):
        hidden.grad = weight.grad = None
        start = time.perf_counter()
        value = _once(log_probs, hidden, weight, targets)
        seconds.append(time.perf_counter() - start)
    return {
        "way": way,
        "dtype": dtype,
        "vocabulary": vocabulary,
        "width": WIDTH,
        "rows": ROWS,
        "seconds": median(seconds),
        "fastest": min(seconds),
        "slowest": max(seconds),
        "peak": peak.bytes(),
        "gradient": weight.numel() * weight.element_size(),
        "mean_log_prob": value,
    }


def _once(log_probs: Any, hidden: Any, weight: Any, targets: Any) -> float:
    total = log_probs(hidden, weight, targets).mean()
    total.backward()
    return total.item()


def _plain(hidden: Any, weight: Any, targets: Any) -> Any:
    logits = (hidden @ weight.T).float()
    return logits.log_softmax(1).gather(1, targets[:, None]).squeeze(1)


def _fused(hidden: Any, weight: Any, targets: Any) -> Any:
    from preftune.models.head import token_log_probs

    return token_log_probs(hidden, weight, targets)
