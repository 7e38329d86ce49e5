"""How fast `preftune check` is, and what it holds in memory, beside tools one would use instead.

    pip install -c constraints.txt -e '.[bench]'
    python benchmarks/check_data.py [--rows 100000] [--data HH.jsonl.gz] [--json FILE]

The pairs are made of real ones of HH-RLHF: their sentences are exchanged for others of the same
length, so that all differ and every length is as it was. Each measurement runs in a process of its
own; memory is its peak above what it held before the first row, with every module loaded.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

HH = Path(__file__).parents[2] / "shared/data/hh-harmless/train.jsonl.gz"
SENTENCE = re.compile(r"(?<=[.!?])\s+")
WARM = 200
"""Rows that are examined before anything is measured, so that all modules are loaded."""


def main() -> None:
    arguments = parsed()
    if arguments.child:
        print(json.dumps(CHILDREN[arguments.child](str(arguments.data))))
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "pairs.jsonl"
        make(arguments.data, data, arguments.rows)
        measured: dict[str, dict[str, Any]] = {}
        for name in CHILDREN:
            print(f"{name} …", file=sys.stderr, flush=True)
            measured[name] = run(name, data)
    print(table(measured, arguments.rows))
    if arguments.json:
        document = {"rows": arguments.rows, "measured": measured}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--data", type=Path, default=HH, help="HH-RLHF pairs to recombine")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    return parser.parse_args()


def run(name: str, data: Path) -> dict[str, Any]:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--child", name, "--data", str(data)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(told.splitlines()[-1])


# --- the data ----------------------------------------------------------------------------------


def make(source: Path, out: Path, rows: int, seed: int = 0) -> None:
    """So many different pairs as transcripts, made of real ones."""
    from preftune.sources import read

    draw = random.Random(seed)
    groups = read(str(source), bad_rows="skip").groups
    pool: dict[int, list[str]] = defaultdict(list)
    for group in groups:
        for turns in (group.prompt, *(response.turns for response in group.responses)):
            for turn in turns:
                for sentence in SENTENCE.split(turn.content):
                    pool[bucket(sentence)].append(sentence)
    seen: set[str] = set()
    with out.open("w", encoding="utf-8") as file:
        while len(seen) < rows:
            group = groups[len(seen) % len(groups)]
            prompt = [varied(turn.content, pool, draw) for turn in group.prompt]
            asked = "".join(map(said, (turn.role for turn in group.prompt), prompt))
            sides = [
                asked + "".join(said(turn.role, varied(turn.content, pool, draw)) for turn in turns)
                for turns in (response.turns for response in group.responses)
            ]
            line = json.dumps({"chosen": sides[0], "rejected": sides[1]}, ensure_ascii=False)
            if line not in seen:
                seen.add(line)
                file.write(line + "\n")


def said(role: str, content: str) -> str:
    return f"\n\n{'Human' if role == 'user' else 'Assistant'}: {content}"


def bucket(sentence: str) -> int:
    """Sentences in one bucket are of nearly the same length."""
    return len(sentence) // 8


def varied(text: str, pool: dict[int, list[str]], draw: random.Random) -> str:
    """The text with two of three sentences exchanged for others of their length."""
    parts = [
        draw.choice(pool[bucket(part)]) if draw.random() < 2 / 3 else part
        for part in SENTENCE.split(text)
    ]
    return " ".join(parts)


# --- what is measured, each in a process of its own ----------------------------------------------


class Meter:
    """Seconds, and the peak of memory above what was held at the start."""

    def __init__(self) -> None:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        self.before = memory("VmRSS")
        self.began = time.perf_counter()

    def read(self, rows: int, **more: object) -> dict[str, object]:
        seconds = time.perf_counter() - self.began
        peak = memory("VmHWM") - self.before
        return {"rows": rows, "seconds": seconds, "bytes_a_row": peak / rows, **more}


def memory(what: str) -> int:
    """Bytes, as Linux tells them."""
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"{what}:\s+(\d+)", status)
    return int(found[1]) * 1024 if found else 0


class Timed:
    """A check, and the seconds that it took."""

    def __init__(self, check: Any) -> None:
        self.check = check
        self.name = type(check).__name__
        self.seen = 0.0
        self.concluded = 0.0

    def see(self, case: Any) -> None:
        began = time.perf_counter()
        self.check.see(case)
        self.seen += time.perf_counter() - began

    def conclude(self, account: Any) -> Any:
        began = time.perf_counter()
        try:
            return self.check.conclude(account)
        finally:
            self.concluded += time.perf_counter() - began


def checked(data: str, depth: Any) -> dict[str, object]:
    """`preftune check`, and then each of its checks by itself."""
    from preftune.checks.examine import run_checks
    from preftune.checks.run import File, check, checks_of
    from preftune.records import Silent

    check(data, depth=depth, limit=WARM)
    meter = Meter()
    found = check(data, depth=depth)
    result = meter.read(
        found.rows, findings=[f"{one.code} {one.count:,}" for one in found.findings]
    )
    timed = [Timed(one) for one in checks_of(depth)]
    began = time.perf_counter()
    run_checks(File(data), timed, Silent())
    rest = time.perf_counter() - began - sum(one.seen + one.concluded for one in timed)
    parts = {one.name: [one.seen, one.concluded] for one in timed}
    return {**result, "parts": {"reading": [rest, 0.0], **parts}}


def quick(data: str) -> dict[str, object]:
    """What every training run starts with."""
    return checked(data, "quick")


def full(data: str) -> dict[str, object]:
    """Everything without a model."""
    return checked(data, "full")


def reading(data: str) -> dict[str, object]:
    """Our reader alone, row by row."""
    from preftune.sources import stream

    list(stream(data, limit=WARM).items)
    meter = Meter()
    return meter.read(sum(1 for _ in stream(data).items))


def load_dataset(data: str) -> dict[str, object]:
    """`datasets`: into its cache on the disk, and then row by row."""
    import datasets

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        meter = Meter()
        rows = datasets.load_dataset("json", data_files=data, split="train", cache_dir=cache)
        return meter.read(sum(1 for _ in rows))


def near_repeats(data: str) -> dict[str, object]:
    """Our near repeats alone, of pairs and of prompts, reading included."""
    from preftune.checks.examine import run_checks
    from preftune.checks.repeats.exact import Repeats
    from preftune.checks.repeats.near import NearRepeats
    from preftune.checks.run import File
    from preftune.records import Silent

    def both() -> list[Any]:
        repeats = Repeats()
        return [repeats, NearRepeats(repeats)]

    run_checks(File(data, limit=WARM), both(), Silent())
    meter = Meter()
    passed = run_checks(File(data), both(), Silent())
    counts = [f"{one.code} {one.count:,}" for part in passed.conclusions for one in part.findings]
    return meter.read(passed.rows, findings=counts)


def datasketch(data: str) -> dict[str, object]:
    """datasketch's MinHash and LSH: 128 permutations, threshold 0.7, pairs of words; whole rows."""
    from datasketch import MinHash, MinHashLSH

    from preftune.sources import stream

    meter = Meter()
    lsh, near, rows = MinHashLSH(threshold=0.7, num_perm=128), 0, 0
    for texts in texts_of(stream(data).items):
        words = texts.split()
        sketch = MinHash(num_perm=128)
        sketch.update_batch({f"{a} {b}".encode() for a, b in pairwise(words)})
        near += bool(lsh.query(sketch))
        lsh.insert(rows, sketch)
        rows += 1
    return meter.read(rows, findings=[f"near repeats {near:,}"])


def texts_of(items: Iterator[Any]) -> Iterator[str]:
    """Prompt and responses of each group as one text."""
    for group in items:
        if hasattr(group, "responses"):
            turns = [group.prompt, *(response.turns for response in group.responses)]
            yield " ".join(turn.content for part in turns for turn in part).lower()


CHILDREN = {
    "check, quick": quick,
    "check, full": full,
    "near repeats alone": near_repeats,
    "datasketch MinHash LSH": datasketch,
    "reading": reading,
    "datasets.load_dataset": load_dataset,
}


# --- the table ---------------------------------------------------------------------------------


def table(measured: dict[str, dict[str, Any]], rows: int) -> str:
    lines = [f"{rows:,} pairs", "", f"{'':32}{'seconds':>9}{'rows/s':>9}{'bytes/row':>11}"]
    for name, one in measured.items():
        speed = one["rows"] / one["seconds"]
        lines.append(f"{name:32}{one['seconds']:9.1f}{speed:9,.0f}{one['bytes_a_row']:11,.0f}")
    for name in ("check, quick", "check, full"):
        lines += ["", f"{name}: each check", f"{'':32}{'µs/row':>9}{'at the end, s':>15}"]
        lines += list(part_lines(measured[name]["parts"], measured[name]["rows"]))
    return "\n".join(lines)


def part_lines(parts: dict[str, Sequence[float]], rows: int) -> Iterator[str]:
    for name, (seen, concluded) in sorted(parts.items(), key=lambda part: -sum(part[1])):
        yield f"{name:32}{1e6 * seen / rows:9.1f}{concluded:15.1f}"


if __name__ == "__main__":
    main()
