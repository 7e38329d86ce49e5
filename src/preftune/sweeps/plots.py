"""One picture of a sweep: what each setting gained, and what it cost."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preftune.records import Estimate
from preftune.sweeps.choice import Figures
from preftune.sweeps.grid import written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from preftune.sweeps.result import SweepResult

# Okabe and Ito's colours: told apart by colour-blind people and in grey print.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442")
MARKERS = "osD^vPX*"
START = "#7f7f7f"
WIDE = 10.0
"""Largest value / smallest from which the swept value is drawn on a logarithmic axis."""

PANELS = (
    ("accuracy", "Held-out reward accuracy", "share of pairs"),
    ("reward_margin", "Held-out reward margin", "implicit reward, chosen − rejected"),
    ("kl", "KL from the start, by sampling", "nats a response"),
    ("displacement", "Displacement", "share of chosen responses less likely"),
)

Point = tuple[float, Figures]


def plot_sweep(result: "SweepResult", out: Path) -> Path:
    """Draw accuracy, margin, KL and displacement against the swept value, with their intervals.

    The swept value is the key with most numbers; every other key makes lines of its own. Where no
    key holds numbers, or there would be more lines than colours, the settings stand side by side.

    Args:
        result: With figures.
        out: The PNG to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 7), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(2, 2)
    settings = _settings(result)
    key = _swept(settings)
    for at, (field, title, up) in enumerate(PANELS):
        panel: Axes = axes[at // 2, at % 2]
        if key is None:
            _side_by_side(panel, result.figures, field)
        else:
            _lines(panel, _series(settings, result.figures, key), field)
            panel.set_xlabel(key)
        if field == "accuracy":
            _starts(panel, result.figures)
        panel.set_title(title, fontsize=11)
        panel.set_ylabel(up)
        panel.spines[["top", "right"]].set_visible(False)
    shown, labels = axes[0, 0].get_legend_handles_labels()
    if labels:
        axes[0, 0].legend(shown, labels, frameon=False, fontsize=9)
    figure.suptitle(_headline(result), fontsize=12)
    figure.savefig(out)
    return out


def _headline(result: "SweepResult") -> str:
    choice = result.choice
    pairs = next(iter(result.figures.values())).pairs
    if choice is None:
        told = "no recommendation"
    elif choice.take is None:
        told = "none is clearly better than the start"
    else:
        told = f"take {choice.take}"
    return f"{len(result.figures)} settings on {pairs:,} held-out pairs: {told}"


def _settings(result: "SweepResult") -> dict[str, Mapping[str, Any]]:
    """Setting → its values without the seed, of those that have figures."""
    return {
        run.setting: {key: value for key, value in run.values.items() if key != "seed"}
        for run in result.runs
        if run.setting in result.figures
    }


def _swept(settings: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The key on the horizontal axis; none where settings are better put side by side."""
    keys = list(next(iter(settings.values())))
    values = {key: {_number(own[key]) for own in settings.values()} for key in keys}
    numbers = {key: len(found) for key, found in values.items() if None not in found}
    key = max(numbers, key=lambda one: numbers[one], default=None)
    if key is None or numbers[key] < 2:
        return None
    lines = {_others(own, key) for own in settings.values()}
    return key if len(lines) <= len(COLOURS) else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _others(values: Mapping[str, Any], key: str) -> str:
    return ", ".join(f"{name}={written(one)}" for name, one in values.items() if name != key)


def _series(
    settings: Mapping[str, Mapping[str, Any]], figures: Mapping[str, Figures], key: str
) -> dict[str, list[Point]]:
    """Line → its points from left to right."""
    found: dict[str, list[Point]] = {}
    for name, values in settings.items():
        line = found.setdefault(_others(values, key), [])
        line.append((float(values[key]), figures[name]))
    return {name: sorted(points, key=lambda point: point[0]) for name, points in found.items()}


def _lines(axes: "Axes", series: Mapping[str, Sequence[Point]], field: str) -> None:
    every = [x for points in series.values() for x, _ in points]
    logarithmic = min(every) > 0 and max(every) / min(every) >= WIDE
    if logarithmic:
        axes.set_xscale("log")
    width = math.log(max(every) / min(every)) if logarithmic else max(every) - min(every)
    for number, (name, points) in enumerate(series.items()):
        shift = width * 0.008 * (number - (len(series) - 1) / 2)  # intervals side by side
        kept = [(x, one) for x, figures in points if (one := getattr(figures, field)) is not None]
        places = [x * math.exp(shift) if logarithmic else x + shift for x, _ in kept]
        style = {"color": COLOURS[number], "marker": MARKERS[number], "label": name or None}
        _intervals(axes, places, [one for _, one in kept], linestyle="-", **style)
    ticks = sorted(set(every))
    if len(ticks) <= len(COLOURS):
        axes.set_xticks(ticks, [written(tick) for tick in ticks])
        axes.minorticks_off()


def _side_by_side(axes: "Axes", figures: Mapping[str, Figures], field: str) -> None:
    estimates = [getattr(one, field) for one in figures.values()]
    kept = [(at, one) for at, one in enumerate(estimates) if one is not None]
    style = {"color": COLOURS[0], "marker": "o", "linestyle": ""}
    _intervals(axes, [float(at) for at, _ in kept], [one for _, one in kept], **style)
    axes.set_xticks(range(len(figures)), list(figures), rotation=30, ha="right", fontsize=8)


def _intervals(
    axes: "Axes", places: Sequence[float], estimates: Sequence[Estimate], **style: Any
) -> None:
    if not estimates:
        axes.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axes.transAxes)
        return
    low = [one.value - one.low for one in estimates]
    high = [one.high - one.value for one in estimates]
    values = [one.value for one in estimates]
    axes.errorbar(places, values, yerr=[low, high], capsize=3, markersize=5, **style)


def _starts(axes: "Axes", figures: Mapping[str, Figures]) -> None:
    """The accuracy of the start, where all settings have the same."""
    starts = {round(one.accuracy_start.value, 6) for one in figures.values()}
    if len(starts) == 1:
        axes.axhline(starts.pop(), color=START, linestyle="--", linewidth=1, label="start")
