"""How the cost of a step grows with its pairs, prompts, responses, vocabulary and model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.step.compare import Comparison, compare
from benchmarks.step.contestant import BEST, PREFTUNE, Conditions
from benchmarks.step.data import Pair
from benchmarks.step.shapes import SHAPES, Shape
from benchmarks.step.workplace import Workplace

BASE = SHAPES["20M"]
PAIRS, PROMPT, RESPONSE = 8, 112, 46
"""The mean of HH: 204 unique tokens, of which 92 are responses."""


def made(pairs: int, prompt: int, response: int, vocabulary: int) -> list[Pair]:
    """Pairs of random tokens of given lengths."""
    random = np.random.default_rng(0)

    def draw(count: int) -> list[int]:
        return random.integers(2, min(vocabulary, BASE.words), count).tolist()

    return [Pair(draw(prompt), draw(response), draw(response)) for _ in range(pairs)]


def _shared(share: float) -> list[Pair]:
    """204 tokens a pair, the prompt's share of prompt + response as given."""
    row = round(204 / (2 - share))
    prompt = max(1, round(row * share))
    return made(PAIRS, prompt, row - prompt, BASE.vocabulary)


def _sized(width: int) -> Shape:
    heads = width // 32
    return replace(
        BASE, name=f"width {width}", width=width, inner=4 * width, heads=heads, key_heads=heads
    )


@dataclass(frozen=True)
class Point:
    """One place on one axis."""

    axis: str
    value: float
    shape: Shape
    batch: list[Pair]


def _points() -> Iterator[Point]:
    words = BASE.vocabulary
    for count in (2, 4, 8, 16):
        yield Point("pairs in a step", count, BASE, made(count, PROMPT, RESPONSE, words))
    for share in (0.1, 0.5, 0.75, 0.9):
        yield Point("prompt's share of a row", share, BASE, _shared(share))
    for count in (16, 46, 128, 256):
        yield Point("tokens of a response", count, BASE, made(PAIRS, PROMPT, count, words))
    for count in (4096, 16_384, 49_152, 151_936):
        shape = replace(BASE, name=f"vocabulary {count}", vocabulary=count)
        yield Point("vocabulary", count, shape, made(PAIRS, PROMPT, RESPONSE, count))
    for width in (128, 256, 512):
        yield Point("model width", width, _sized(width), made(PAIRS, PROMPT, RESPONSE, words))


POINTS = tuple(_points())
SMALLEST = (Point("pairs in a step", 1, SHAPES["toy"], made(1, 8, 8, SHAPES["toy"].vocabulary)),)


def growth(
    workplace: Workplace, dtype: Any, threads: int, *, rounds: int, points: Sequence[Point]
) -> Iterator[dict[str, Any]]:
    """For every point the seconds a pair, of preftune and of TRL at its best.

    All rows of a point are of one length, so TRL pads nothing: what differs is prompts and head.
    """
    for point in points:
        conditions = Conditions(workplace.model(point.shape), dtype, threads)
        pair = [BEST, PREFTUNE]
        result = compare(pair, conditions, point.shape, "made", [point.batch], rounds=rounds)
        row: dict[str, Any] = {"axis": point.axis, "value": point.value}
        if isinstance(result, Comparison):
            theirs, ours = (1 / one.pairs_per_second for one in result.measured)
            yield {**row, "trl": theirs, "preftune": ours}


def plot(points: Sequence[dict[str, Any]], file: Path) -> None:
    """One panel for each axis, seconds a pair."""
    from matplotlib.figure import Figure

    axes = list(dict.fromkeys(point["axis"] for point in points))
    figure = Figure(figsize=(3.2 * len(axes), 3), layout="constrained")
    for place, axis in enumerate(axes, start=1):
        panel = figure.add_subplot(1, len(axes), place)
        here = [point for point in points if point["axis"] == axis]
        values = [point["value"] for point in here]
        for name, mark in (("trl", "o--"), ("preftune", "o-")):
            label = "TRL, no checkpointing,\nprecomputed reference" if name == "trl" else name
            panel.plot(values, [point[name] for point in here], mark, label=label)
        panel.set_xlabel(axis)
        panel.set_ylim(bottom=0)
        if axis == "vocabulary":
            panel.set_xscale("log")
        if place == 1:
            panel.set_ylabel("seconds a pair")
            panel.legend(fontsize=7)
    figure.savefig(file, dpi=130)
