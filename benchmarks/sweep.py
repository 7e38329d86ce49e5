"""What a sweep of n runs costs beside one run alone: CPU seconds, as other work can't change them.

    OMP_NUM_THREADS=1 python benchmarks/sweep.py [--runs 8] [--pairs 400] [--data HH.jsonl.gz]

A tiny model, so that what is not training (reading, rendering, loading, saving) weighs most: with
larger ones it vanishes beside the steps. Each measurement runs in a process of its own, with its
own reference cache; "one run" is `preftune train`, once with the reference to score and once with
the reference at hand.
"""

import argparse
import gzip
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HH = HERE.parents[1] / "shared/data/hh-harmless/train.jsonl.gz"
STORIES = HERE.parents[1] / "shared/models/stories260k"


def main() -> None:
    arguments = parsed()
    if arguments.child:
        print(json.dumps(measured(arguments)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "pairs.jsonl"
        with gzip.open(arguments.data, "rt", encoding="utf-8") as rows:
            data.write_text("".join(itertools.islice(rows, arguments.pairs)), encoding="utf-8")
        costs: dict[str, float] = {}
        for what in ("one run", "one run, reference at hand", "sweep", "sweep, KL by sampling"):
            print(f"{what} …", file=sys.stderr, flush=True)
            costs[what] = child(arguments, what, folder, data)
        report(costs, arguments.runs)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--data", type=Path, default=HH)
    parser.add_argument("--model", type=Path, default=STORIES)
    parser.add_argument("--lora", action="store_true", help="adapters of rank 16 instead")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def child(arguments: argparse.Namespace, what: str, folder: Path, data: Path) -> float:
    """CPU seconds of one measurement in a process of its own."""
    cache = folder / ("cache-one" if what.startswith("one") else f"cache-{what[-3:]}")
    words = [
        sys.executable, __file__, "--child", what, "--out", str(folder / what.replace(" ", "-")),
        "--data", str(data), "--model", str(arguments.model), "--runs", str(arguments.runs),
        *(["--lora"] if arguments.lora else []),
    ]  # fmt: skip
    environment = {**os.environ, "PREFTUNE_CACHE": str(cache)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])["cpu_seconds"]


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    import torch

    from preftune.sweeps.grid import parse_grid
    from preftune.sweeps.runs import resolve_runs
    from preftune.sweeps.sweep import sweep
    from preftune.training.run import train

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    betas = ",".join(str(round(0.02 * 2**at, 4)) for at in range(arguments.runs))
    given = {
        "model": str(arguments.model), "data.train": str(arguments.data), "objective.name": "dpo",
        "precision": "float32",
        **({"lora.rank": 16} if arguments.lora else {}),
    }  # fmt: skip
    _, runs = resolve_runs(parse_grid([f"objective.beta={betas}"]), arguments.out, given=given)
    start = time.process_time()
    if arguments.child.startswith("one"):
        train(runs[0].resolved)
    else:
        sweep(arguments.out, runs, kl_samples=64 if "KL" in arguments.child else 0)
    return {"cpu_seconds": time.process_time() - start}


def report(costs: dict[str, float], runs: int) -> None:
    scored, one = costs["one run"], costs["one run, reference at hand"]
    print(f"one run: {scored:.1f} CPU seconds, {scored - one:.1f} of them the reference pass")
    for what in ("sweep", "sweep, KL by sampling"):
        without = costs[what] - (scored - one)
        print(f"{what}: {costs[what]:.1f} CPU seconds for {runs} runs; without the reference pass "
              f"{without / one:.2f} times one run")  # fmt: skip


if __name__ == "__main__":
    main()
