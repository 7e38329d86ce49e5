"""In which precision the matmuls run. Log-probs, sums and optimiser state are float32 always."""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

import torch

MatmulPrecision = Literal["float32", "bfloat16"]


def choose_precision(asked: Literal["auto", "float32", "bfloat16"]) -> MatmulPrecision:
    """`auto` is bfloat16 where the device multiplies in it natively, else float32."""
    if asked != "auto":
        return asked
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    able = torch.cpu.get_capabilities()
    return "bfloat16" if able.get("amx_bf16") or able.get("avx512_bf16") else "float32"


def choose_device() -> torch.device:
    """The first CUDA device, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def matmuls_in(precision: MatmulPrecision, device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bfloat16, or nothing. Policy and reference must be scored under the same."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


@contextmanager
def denormals_as_zero() -> Generator[None]:
    """For a while, numbers below 1.2e-38 are 0 on a CPU, in this thread and those that it starts.

    The gradient of a pair that is won by far is of that size, and a CPU multiplies such numbers a
    hundred times more slowly. Before the first parallel operation of the process: threads that
    exist already keep computing with them. Afterwards this thread is as it was before.
    """
    were_zero = bool(torch.tensor(1e-39) * 1 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(were_zero)
