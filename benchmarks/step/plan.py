"""Which comparisons are run, one after another."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from benchmarks.step.compare import as_json, compare
from benchmarks.step.contestant import (
    DEFAULTS,
    MALLOC,
    PREFTUNE,
    RIVALS,
    SORTED,
    Conditions,
    Contestant,
    on_gpu,
)
from benchmarks.step.data import BATCH, Pair, lengths_of, whole_file
from benchmarks.step.floor import ceiling
from benchmarks.step.growth import POINTS, SMALLEST, growth
from benchmarks.step.head import head_alone
from benchmarks.step.ladder import ladder
from benchmarks.step.machine import machine
from benchmarks.step.shapes import SHAPES, Shape
from benchmarks.step.workplace import Workplace

Document = dict[str, Any]
Keep = Callable[[Document], None]


@dataclass(frozen=True)
class Options:
    """The command line."""

    shape: str = "135M"
    data: str = "hh"
    dtype: Literal["float32", "bfloat16"] = "float32"
    lora: bool = False
    rounds: int = 3
    threads: int = 1
    pairs: int = BATCH
    """In a batch: the first ones of each of the schedule's."""
    against: bool = False
    ablations: bool = False
    head: bool = False
    growth: bool = False
    all: bool = False
    quick: bool = False
    """Everything at toy scale, in a minute: to see that it runs."""
    malloc_threshold: bool = False
    ours: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Settings of preftune's run file that differ from its defaults."""

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"


class Bench:
    """Runs jobs and keeps what they measured.

    Args:
        options: Of the command line.
        workplace: Where models are.
        keep: Told of the document after each measurement: an interruption loses nothing.
    """

    def __init__(self, options: Options, workplace: Workplace, keep: Keep) -> None:
        self.workplace = workplace
        self._write = keep
        self.document: Document = {
            "command": "python -m benchmarks.step " + " ".join(sys.argv[1:]),
            "machine": machine(options.threads),
            "lengths": [],
            "ceilings": [],
            "comparisons": [],
            "ladder": [],
            "head": [],
            "growth": [],
        }
        self._rates: dict[tuple[str, str], float] = {}

    def compare(self, options: Options, *rivals: Contestant) -> None:
        """preftune against some of TRL's settings, in turns."""
        shape, batches = self._schedule(options)
        conditions = self._conditions(options, shape)
        rate = self._rate(shape, batches, conditions)
        for rival in rivals:
            pair = [rival, replace(PREFTUNE, settings=options.ours)]
            if options.malloc_threshold:
                pair = [one.under(MALLOC, "large malloc threshold") for one in pair]
            self._say(options, rival.name)
            found = compare(
                pair, conditions, shape, options.data, batches, rounds=options.rounds, rate=rate
            )
            self._keep("comparisons", as_json(found))

    def climb(self, options: Options) -> None:
        """All rungs of the ladder, each in turns with preftune as it is."""
        shape, batches = self._schedule(options)
        conditions = self._conditions(options, shape)
        rungs = ladder(options.dtype)
        for rung in rungs[2::3] if options.quick else rungs:
            self._say(options, rung.name)
            found = compare(
                [rung, PREFTUNE], conditions, shape, options.data, batches, rounds=options.rounds
            )
            self._keep("ladder", as_json(found))

    def heads(self, options: Options) -> None:
        """Fused and plain."""
        self._say(options, "the head alone")
        vocabulary = SHAPES[options.shape if options.quick else "vocabulary"].vocabulary
        for row in head_alone(
            options.dtype, options.threads, rounds=options.rounds, vocabulary=vocabulary
        ):
            self._keep("head", row)

    def grow(self, options: Options) -> None:
        """Every axis, from a small model and HH's lengths."""
        self._say(options, "growth")
        for row in growth(
            self.workplace,
            options.dtype,
            options.threads,
            rounds=options.rounds,
            points=SMALLEST if options.quick else POINTS,
        ):
            self._keep("growth", row)

    def _schedule(self, options: Options) -> tuple[Shape, list[list[Pair]]]:
        shape = SHAPES[options.shape]
        drawn = self.workplace.schedule(options.data, shape, options.rounds)
        batches = [batch[: options.pairs] for batch in drawn]
        what = {"data": options.data, "words": shape.words, "batches": len(drawn)}
        if not any(what.items() <= one.items() for one in self.document["lengths"]):
            whole = whole_file(self.workplace.pairs(options.data, shape))
            self.document["lengths"].append(
                {**what, "whole": asdict(whole), "drawn": asdict(lengths_of(drawn))}
            )
        return shape, batches

    def _conditions(self, options: Options, shape: Shape) -> Conditions:
        return Conditions(
            model=self.workplace.model(shape),
            dtype=options.dtype,
            threads=options.threads,
            lora=options.lora,
            device=options.device,
        )

    def _rate(self, shape: Shape, batches: list[list[Pair]], conditions: Conditions) -> float:
        known = (shape.name, conditions.dtype)
        if known not in self._rates:
            tokens = sum(pair.unique for batch in batches for pair in batch) // len(batches)
            rates = ceiling(shape, tokens, conditions)
            self._rates[known] = rates["best"]
            self.document["ceilings"].append(
                {"shape": shape.name, "dtype": conditions.dtype, "tokens": tokens, **rates}
            )
        return self._rates[known]

    def _keep(self, table: str, found: Mapping[str, Any]) -> None:
        self.document[table].append(found)
        self._write(self.document)

    def _say(self, options: Options, name: str) -> None:
        kind = f"{options.shape} {options.data} {options.dtype}{' LoRA' * options.lora}"
        print(f"{time.strftime('%H:%M:%S')} {kind}: {name} …", file=sys.stderr, flush=True)


def jobs(options: Options, workplace: Workplace, keep: Keep) -> Document:
    """What the flags ask for."""
    bench = Bench(options, workplace, keep)
    for job, rivals in _comparisons(options):
        bench.compare(job, *rivals)
    everything = options.all or options.quick
    if options.ablations or everything:
        bench.climb(replace(options, rounds=1) if options.all else options)
    if options.head or everything:
        bench.heads(options)
    if options.growth or everything:
        bench.grow(options)
    return bench.document


def _comparisons(options: Options) -> Iterator[tuple[Options, tuple[Contestant, ...]]]:
    if options.quick:
        yield options, (SORTED,)
        yield replace(options, lora=True), (DEFAULTS,)
    elif options.all:
        fewer = replace(options, rounds=max(1, options.rounds - 1))
        yield options, RIVALS
        yield replace(fewer, malloc_threshold=True), (SORTED,)
        yield replace(fewer, lora=True), (DEFAULTS, SORTED)
        yield replace(fewer, shape="vocabulary"), (DEFAULTS, SORTED)
        yield replace(options, shape="20M"), RIVALS
        # Where bfloat16 is emulated a step of eight pairs would take TRL minutes.
        sixteen = replace(options, dtype="bfloat16", rounds=1)
        yield replace(sixteen, shape="20M"), (DEFAULTS, SORTED)
        yield replace(sixteen, pairs=2), (DEFAULTS,)
    elif options.against:
        yield options, tuple(on_gpu()) if options.device == "cuda" else RIVALS
