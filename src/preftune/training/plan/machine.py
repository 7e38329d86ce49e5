"""The device of a run: how much memory is free, and how fast it multiplies."""

import ctypes
import os
import re
import sys
import time
from contextlib import suppress
from pathlib import Path

import torch

from preftune.errors import ConfigError
from preftune.models.precision import MatmulPrecision

UNITS = {
    "": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40,
}  # fmt: skip
M_MMAP_THRESHOLD = -3
"""glibc's number for it (malloc.h)."""
MAPPED = 2**20
"""Bytes from which on memory is mapped, and given back when it is freed."""
USABLE = 0.9
"""Share of the free memory that tensors may take: a plan is right within a tenth."""
USABLE_BY_MALLOC = 0.6
"""The same where glibc's malloc keeps what is freed: up to half as much again (measured)."""
SECONDS = 1.0
"""How long multiplying is measured."""


def free_memory(device: torch.device) -> int:
    """Bytes that a run may take on the device, what this process holds already included.

    On a CPU the machine's free memory, or what the control group leaves.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    own = held_by_process()
    limits = [_available() + own]
    with suppress(OSError, ValueError):  # no limit is the word `max`
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(limits)


def held_by_process() -> int:
    """Bytes of memory that this process holds; 0 where the system does not say."""
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0


def usable(device: torch.device, *, checkpointing: bool = False) -> float:
    """Share of the free memory that a run's tensors may take without risk.

    With activation checkpointing freed memory is given back at once.
    """
    if checkpointing or device.type != "cpu" or "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return USABLE
    return USABLE_BY_MALLOC


def give_freed_memory_back(device: torch.device) -> None:
    """Have the C library return freed memory to the system at once, where it can be told to.

    By default glibc keeps what is below 32 MiB for later and cuts it into pieces: a process that
    computes activations again was measured to take half as much again as its tensors. Without, a
    step takes about a tenth longer: memory is mapped anew (docs/memory.md).
    """
    if device.type == "cpu" and sys.platform == "linux":
        with suppress(OSError, AttributeError):  # other C libraries have no `mallopt`
            ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MAPPED)


def parse_bytes(text: str) -> int:
    """`24GiB`, `80 GB` or a number of bytes.

    Raises:
        ConfigError: anything else (PT301).

    >>> parse_bytes("1.5 GiB")
    1610612736
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    unit = None if found is None else UNITS.get(found[2].upper())
    if found is None or unit is None or float(found[1]) == 0:
        raise ConfigError(
            "PT301",
            f"`--memory {text}` is no amount of memory.",
            why="what fits can't be said without it.",
            fix="write for instance --memory 24GiB.",
        )
    return round(float(found[1]) * unit)


def matmul_rate(device: torch.device, precision: MatmulPrecision, hidden: int, wide: int) -> float:
    """Floating-point operations per second of matmuls of a layer's kind, measured for a second.

    Args:
        device: Where.
        precision: Of the matmuls.
        hidden: Width of the model; large ones are cut where a CPU would take too long.
        wide: Width inside its layers.
    """
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    rows, hidden, wide = (
        (2048, hidden, wide) if device.type == "cuda" else (512, min(hidden, 1024), min(wide, 4096))
    )
    left = torch.ones(rows, hidden, dtype=dtype, device=device)
    right = torch.ones(hidden, wide, dtype=dtype, device=device)
    _multiply(left, right, 1)  # kernels are loaded by the first
    runs, seconds = 0, 0.0
    while seconds < SECONDS:
        seconds += _multiply(left, right, times := 20 if device.type == "cuda" else 1)
        runs += times
    return 2 * rows * hidden * wide * runs / seconds


def _multiply(left: torch.Tensor, right: torch.Tensor, times: int) -> float:
    """Seconds."""
    if left.is_cuda:
        torch.cuda.synchronize(left.device)
    start = time.perf_counter()
    for _ in range(times):
        torch.mm(left, right)
    if left.is_cuda:
        torch.cuda.synchronize(left.device)
    return time.perf_counter() - start


def _available() -> int:
    """Of the whole machine: what programs can still get."""
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
