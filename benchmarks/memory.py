"""The memory plan beside what runs really take: peaks predicted and measured, set-up by set-up.

    python -m benchmarks.memory [SET-UP …] [--data HH.jsonl.gz] [--threads 2] [--json FILE]

Each set-up is planned in one process, as `preftune train --plan` does it, and trained for two steps
in another. Measured is the highest resident memory of that process (VmHWM) above what it held after
a toy model was trained in it, with everything imported and no model left; predicted, the plan's
peak without the process's own part. Weights are random: memory does not depend on them.

glibc's malloc keeps freed memory for later, in an order that nobody foresees. So every set-up is
measured twice: with MALLOC_MMAP_THRESHOLD_ at 1 MiB, where what is freed is given back and only the
tensors' own bytes count, and as malloc is by default, where the difference is the allocator's.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.step.data import make_tokenizer
from benchmarks.step.shapes import SHAPES, save_model

HH = Path(__file__).parents[2] / "shared/data/hh-harmless/train.jsonl.gz"
MALLOC = {"fixed": {"MALLOC_MMAP_THRESHOLD_": str(2**20)}, "default": {}}
STEPS = 2
"""The first makes the optimiser's state, the second runs beside it."""


@dataclass(frozen=True)
class SetUp:
    """A shape and what is special about the run."""

    shape: str
    pairs: int = 8
    """In a step."""
    tokens: int = 4096
    """In a micro-batch."""
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def keys(self) -> dict[str, Any]:
        return {
            "objective": "dpo",
            "data.held_out": 0.0,
            "data.limit": 200,
            "precision": "float32",
            "optimizer.pairs_per_step": self.pairs,
            "optimizer.max_steps": STEPS,
            "tokens_per_batch": self.tokens,
            "checkpoint_activations": False,
            **self.settings,
        }


BF16 = {"precision": "bfloat16"}
ON = {"checkpoint_activations": True}
SETUPS = {
    "20M": SetUp("20M", pairs=32),
    "20M, 4 micro-batches": SetUp("20M", pairs=32, tokens=2048),
    "135M": SetUp("135M"),
    "135M, checkpointing": SetUp("135M", settings=ON),
    "135M, checkpointing, 8k tokens": SetUp("135M", pairs=36, tokens=8192, settings=ON),
    "135M, LoRA": SetUp("135M", settings={"lora.rank": 16}),
    "135M, LoRA, checkpointing": SetUp("135M", settings={"lora.rank": 16, **ON}),
    "135M, bfloat16": SetUp("135M", pairs=4, settings=BF16),
    "135M, bfloat16, 8-bit": SetUp("135M", 4, settings={**BF16, "optimizer.name": "adamw-8bit"}),
    "135M, bfloat16, in backward": SetUp(
        "135M",
        pairs=4,
        settings={**BF16, "optimizer.in_backward": True, "optimizer.max_grad_norm": None},
    ),
    "vocabulary": SetUp("vocabulary"),
    "vocabulary, bfloat16": SetUp("vocabulary", pairs=4, settings=BF16),
}


def main() -> None:
    arguments = parsed()
    if arguments.child:
        print(json.dumps(CHILDREN[arguments.child](json.loads(arguments.keys))))
        return
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.setups or SETUPS:
            print(f"{name} …", file=sys.stderr, flush=True)
            rows.append({"name": name, **measure(SETUPS[name], Path(folder), arguments)})
            print(line(rows[-1]), file=sys.stderr, flush=True)
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("setups", nargs="*", metavar="SET-UP", help=", ".join(SETUPS))
    parser.add_argument("--data", type=Path, default=HH, help="HH-RLHF pairs")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    parser.add_argument("--keys", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.setups if name not in SETUPS]:
        parser.error(f"no such set-up: {', '.join(unknown)}")
    return chosen


def measure(setup: SetUp, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    model = folder / setup.shape
    for name in (setup.shape, "toy"):
        if not (folder / name).exists():
            words = SHAPES[name].words
            save_model(SHAPES[name], folder / name, make_tokenizer([arguments.data], words))
    out = Path(tempfile.mkdtemp(dir=folder)) / "run"
    keys = {**setup.keys, "model": str(model), "data.train": str(arguments.data), "out": str(out)}
    row = child("plan", keys, threads=arguments.threads, cache=out.parent)
    for name, malloc in MALLOC.items():
        own = {**keys, "out": str(out.with_name(name))}
        cache = out.with_name(f"{name}-cache")
        found = child("train", own, threads=arguments.threads, cache=cache, malloc=malloc)
        row |= {f"{key} {name}": value for key, value in found.items()}
    return row


def child(
    kind: str,
    keys: dict[str, Any],
    *,
    threads: int,
    cache: Path,
    malloc: dict[str, str] | None = None,
) -> dict[str, Any]:
    """One measurement in a process of its own; nothing is read from another run's cache."""
    command = [sys.executable, "-m", "benchmarks.memory", "--child", kind, "--keys"]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "PREFTUNE_CACHE": str(cache),
        **(malloc or {}),
    }
    done = subprocess.run(
        [*command, json.dumps(keys)], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def plan_child(keys: dict[str, Any]) -> dict[str, Any]:
    from preftune.training.plan.plan import plan
    from preftune.training.runfile import resolve

    peak = plan(resolve(None, keys)).memory.peak
    parts = {name: size for name, size in peak.parts.items() if name != "process"}
    process = peak.parts["process"]
    return {"predicted": sum(parts.values()), "moment": peak.name, "parts": parts} | {
        "process_predicted": process
    }


def train_child(keys: dict[str, Any]) -> dict[str, Any]:
    from preftune.training.run import train
    from preftune.training.runfile import resolve

    toy = Path(keys["model"]).with_name("toy")
    warm = {"model": str(toy), "out": f"{keys['out']}-warm", "optimizer.pairs_per_step": 2}
    train(resolve(None, keys | warm))
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the highest so far is forgotten
    before = status("VmRSS")
    train(resolve(None, keys))
    return {"measured": status("VmHWM") - before, "process": before}


CHILDREN = {"plan": plan_child, "train": train_child}


def status(name: str) -> int:
    """Bytes, from the kernel's account of this process."""
    for entry in Path("/proc/self/status").read_text().splitlines():
        if entry.startswith(name + ":"):
            return int(entry.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {name}.")


def line(row: dict[str, Any]) -> str:
    predicted, cells = row["predicted"], [row["name"], f"{row['predicted'] / 2**20:,.0f}"]
    for name in MALLOC:
        measured = row[f"measured {name}"]
        cells += [f"{measured / 2**20:,.0f}", f"{predicted / measured:.2f}"]
    return f"| {' | '.join([*cells, row['moment']])} |"


def table(rows: list[dict[str, Any]]) -> str:
    head = (
        "| set-up | predicted, MiB | measured, MiB | ratio | default malloc, MiB | ratio | moment |"
        "\n|---|---|---|---|---|---|---|"
    )
    return "\n".join([head, *map(line, rows)])


if __name__ == "__main__":
    main()
