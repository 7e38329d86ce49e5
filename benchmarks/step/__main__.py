"""preftune's training step against TRL's, in turns, on the same pairs.

    pip install -c constraints.txt -e '.[bench]'
    python -m benchmarks.step --against trl [--shape 135M] [--data hh] [--dtype float32] [--lora]
    python -m benchmarks.step --all --json FILE --markdown docs/performance.md

Each contestant runs in a process of its own; they take turns step by step, so that whatever else
the machine does hits both. Memory is a process's peak above what it held before the model.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

import yaml

from benchmarks.step.data import BATCH, FILES
from benchmarks.step.growth import plot
from benchmarks.step.plan import Document, Options, jobs
from benchmarks.step.shapes import SHAPES
from benchmarks.step.tables import markdown, write
from benchmarks.step.workplace import Workplace


def main() -> None:
    arguments = _parser().parse_args()
    if not any(getattr(arguments, name) for name in ASKED):
        raise SystemExit(f"Nothing to do: give one of --{', --'.join(ASKED)}.")
    options = _options(arguments)
    files = dict(FILES)
    if options.data not in files:
        files = {options.data: Path(options.data)}

    def keep(document: Document) -> None:
        if arguments.json:
            arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        if arguments.markdown:
            write(markdown(document), arguments.markdown, options.data)
        if arguments.plot and document["growth"]:
            plot(document["growth"], arguments.plot)

    with tempfile.TemporaryDirectory() as folder:
        print(markdown(jobs(options, Workplace(Path(folder), files), keep)))


ASKED = ("against", "ablations", "head", "growth", "all", "quick")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.step",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--against", choices=["trl"], help="compare with TRL's trainer, at three settings")
    add("--ablations", action="store_true", help="one technique at a time")
    add("--head", action="store_true", help="the head alone, at a vocabulary of 151,936")
    add("--growth", action="store_true", help="cost against pairs, lengths, vocabulary, width")
    add("--all", action="store_true", help="all tables")
    add("--quick", action="store_true", help="everything at toy scale, to see that it runs")
    add("--shape", choices=list(SHAPES), default="135M")
    add("--data", default="hh", help="hh, ultrafeedback or a file of pairs")
    add("--dtype", choices=["float32", "bfloat16"], default="float32", help="of the matmuls")
    add("--lora", action="store_true", help="adapters of rank 16 in every linear layer")
    add("--rounds", type=int, default=3, help="steps measured of each, on as many batches")
    add("--pairs", type=int, choices=range(1, BATCH + 1), default=BATCH, help="of a batch")
    add("--threads", type=int, default=os.cpu_count())
    add("--malloc-threshold", action="store_true", help="let glibc keep large blocks, for both")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="of preftune's run file")
    add("--json", type=Path, help="write the figures to this file")
    add("--markdown", type=Path, help="write the tables into this page")
    add("--plot", type=Path, help="draw growth into this file (.png)")
    return parser


def _options(arguments: argparse.Namespace) -> Options:
    pairs = (text.split("=", 1) for text in arguments.set)
    return Options(
        shape="toy" if arguments.quick else arguments.shape,
        data=arguments.data,
        dtype=arguments.dtype,
        lora=arguments.lora,
        rounds=arguments.rounds,
        threads=arguments.threads,
        pairs=arguments.pairs,
        against=bool(arguments.against),
        ablations=arguments.ablations,
        head=arguments.head,
        growth=arguments.growth,
        all=arguments.all,
        quick=arguments.quick,
        malloc_threshold=arguments.malloc_threshold,
        ours={key: yaml.safe_load(value) for key, value in pairs},
    )


if __name__ == "__main__":
    main()
