"""What a model makes of the data: tokens and what they cost, log-probs, pairs that look alike."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from preftune.report.axes import lying, outlines, parts_of
from preftune.report.drawing import MUTED, drawing
from preftune.report.plot import Plot, share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 30
_ALIKE = 0.1
"""Left of it chosen and rejected are nearly the same to the model, as PC708 has it."""


def tokens(figure: dict[str, Any]) -> Plot:
    """Histograms of the numbers of tokens, with the limit where it is near."""
    parts = parts_of(figure)
    edges, limit = figure["edges"], figure["limit"]
    said = f"A row may have {limit:,} tokens, prompt and longest response together"
    said += "; the dotted line is this limit." if limit <= edges[-1] else ", more than is drawn."

    def draw(axes: "Axes") -> None:
        outlines(axes, edges, {part: figure[part] for part in parts})
        if limit <= edges[-1]:
            axes.axvline(limit, color=MUTED, linestyle=":", linewidth=1.4)
        axes.set_xlabel("tokens (the last step: all that are longer)")

    return Plot("tokens", "Tokens", said, drawing("tokens", said, draw))


def economics(figure: dict[str, Any]) -> Plot | None:
    """How many tokens are run: padded, without padding, with shared prompts."""
    if not figure["padded"]:
        return None
    names = {
        "padded": f"padded, {figure['pairs_per_batch']} pairs a batch",
        "separate": "without padding",
        "packed": "packed, prompt shared",
    }
    said = (
        f"Padded batches run {figure['padded']:,} tokens an epoch, preftune's packed rows "
        f"{figure['packed']:,}: {share(figure['saved'])} are saved."
    )
    shares = [figure[name] / figure["padded"] for name in names]

    def draw(axes: "Axes") -> None:
        lying(axes, [*names.values()], {"response": shares}, max(shares))

    picture = drawing("economics", said, draw, height=1.5)
    return Plot("economics", "What packing saves", said, picture)


def reference(figure: dict[str, list[float]]) -> Plot | None:
    """Log-probs a token under the reference, beside what it expects of its own words."""
    parts = {part: figure[part] for part in ("chosen", "rejected") if figure.get(part)}
    if not parts:
        return None
    own = float(np.mean(figure["expected"])) if figure.get("expected") else None
    known = [value for values in parts.values() for value in values]
    edges = edges_of([*known, *([own] if own is not None else [])])
    means = [f"{np.mean(values):.2f} ({part})" for part, values in parts.items()]
    said = f"Mean log-prob a token, in nats: {', '.join(means)}"
    if own is not None:
        said += f"; its own words would have {own:.2f}, the dotted line"
    said += ". The farther left of its own words, the farther off its policy."

    def draw(axes: "Axes") -> None:
        outlines(axes, edges, {part: binned(values, edges) for part, values in parts.items()})
        if own is not None:
            axes.axvline(own, color=MUTED, linestyle=":", linewidth=1.4)
        axes.set_xlabel("log-prob a token under the reference, nats")

    return Plot("reference", "The reference's log-probs", said, drawing("reference", said, draw))


def weak_reference(figure: dict[str, list[float]]) -> Plot | None:
    """Scores of the reference's own answers beside those of chosen and rejected."""
    if not figure.get("own"):
        return None
    edges = edges_of([score for scores in figure.values() for score in scores])
    parts = {"chosen": "chosen", "rejected": "rejected", "prompt": "own"}
    means = {name: f"{np.mean(figure[name]):.2f}" for name in parts.values()}
    below = np.mean(np.less(figure["own"], figure["rejected"]))
    said = (
        f"Mean scores by the judge: {means['own']} for the reference's own answers (dashed), "
        f"{means['chosen']} for chosen, {means['rejected']} for rejected. To {share(float(below))} "
        "of the prompts its own answer has a lower score than rejected."
    )

    def draw(axes: "Axes") -> None:
        counts = {part: binned(figure[name], edges) for part, name in parts.items()}
        outlines(axes, edges, counts, dashed="the reference's own")
        axes.set_xlabel("score by the judge")

    picture = drawing("weak", said, draw)
    return Plot("weak", "The reference's own answers", said, picture)


def displacement(figure: dict[str, list[float]]) -> Plot | None:
    """How far chosen and rejected lie apart to the model."""
    apart = figure.get("apart")
    if not apart:
        return None
    near = sum(value < _ALIKE for value in apart)
    edges = edges_of([0.0, *apart])
    said = (
        f"How far apart chosen and rejected are to the model; 1 is as far as responses to "
        f"different prompts. {near:,} of {len(apart):,} pairs lie left of the dotted line, where "
        "pushing rejected down pushes chosen down, too."
    )

    def draw(axes: "Axes") -> None:
        outlines(axes, edges, {"response": binned(apart, edges)})
        axes.axvline(_ALIKE, color=MUTED, linestyle=":", linewidth=1.4)
        axes.set_xlabel("distance of chosen and rejected")

    return Plot("displacement", "Pairs that look alike", said, drawing("displacement", said, draw))


def edges_of(values: Sequence[float]) -> list[float]:
    """Edges of equal bins from the smallest value to the largest, far ones aside.

    >>> edges_of([0.0, 1.0])[0], edges_of([2.0, 2.0])[-1]
    (0.0, 2.5)
    """
    low, high = np.quantile(values, (0.005, 0.995)).tolist() if len(values) > 200 else (0, 0)
    if low >= high:
        low, high = min(values), max(values)
    if low >= high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, _BINS + 1).tolist()


def binned(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    """How many values are in each bin, far ones in the outermost."""
    near = np.clip(values, edges[0], edges[-1])
    return np.histogram(near, edges)[0].tolist()
