"""What the figures were measured on."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("preftune", "torch", "transformers", "trl", "peft", "accelerate")
SETS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")


def machine(threads: int) -> dict[str, Any]:
    """Processor, memory, accelerator, versions and allocator settings."""
    import torch

    cpu = _lines("/proc/cpuinfo")
    flags = set(cpu.get("flags", "").split())
    return {
        "processor": cpu.get("model name", platform.processor()),
        "cores": os.cpu_count(),
        "threads": threads,
        "instructions": [name for name in SETS if name in flags],
        "memory_gib": round(int(_lines("/proc/meminfo")["MemTotal"].split()[0]) / 2**20, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "allocator": {k: v for k, v in os.environ.items() if k.startswith(("MALLOC_", "LD_PRE"))},
    }


def _lines(file: str) -> dict[str, str]:
    pairs = (line.split(":", 1) for line in Path(file).read_text().splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
