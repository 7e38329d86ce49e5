"""Which plot each figure of an examination gets, in the order in which they stand on the page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from preftune.report import label_plots, model_plots, people_plots, text_plots
from preftune.report.plot import Plot

PLOTS: Sequence[tuple[str, Callable[[Any], Plot | None]]] = (
    ("shortcuts", label_plots.shortcuts),
    ("noise", label_plots.noise),
    ("suspicious", label_plots.suspicious),
    ("score_gaps", label_plots.score_gaps),
    ("annotators", people_plots.annotators),
    ("annotators", people_plots.ranked_annotators),
    ("agreement", people_plots.agreement),
    ("lengths", text_plots.lengths),
    ("pairs_per_prompt", text_plots.pairs_per_prompt),
    ("endings", text_plots.endings),
    ("templates", text_plots.templates),
    ("languages", text_plots.languages),
    ("tokens", model_plots.tokens),
    ("economics", model_plots.economics),
    ("reference", model_plots.reference),
    ("weak_reference", model_plots.weak_reference),
    ("displacement", model_plots.displacement),
)
"""The figure's name and who draws it; a figure without an entry is not drawn."""


def plots_of(figures: Mapping[str, object]) -> Iterator[Plot]:
    """A plot of each figure that is there and has something to show."""
    for name, draw in PLOTS:
        plot = draw(figures[name]) if figures.get(name) else None
        if plot is not None:
            yield plot
