import json
import re

import pytest

from preftune.checks import check
from preftune.report import examination_page
from preftune.report.plots import PLOTS, plots_of
from tests.report.examinations import ENDS, FIGURES, PERSON, RULE, examined
from tests.report.pages import Page

TOLD = {"prompts", "lengths_in_words"}
"""Figures for programs: on the page a sentence or another plot says the same."""


def texts(plot):
    """What a person reads of a plot."""
    cells = (
        [cell for row in plot.table.rows for cell in (row.name, *row.cells)] if plot.table else []
    )
    return " ".join([plot.title, plot.sentence, *cells])


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_with_a_sentence_and_in_the_page_colours(name):
    plots = list(plots_of({name: FIGURES[name], "unknown": {"whatever": 1}}))
    assert plots
    for plot in plots:
        assert plot.sentence.endswith(".")
        assert plot.drawing or plot.table
        if plot.drawing:
            drawn = Page(plot.drawing)
            assert "title" in drawn.tags
            assert plot.sentence in drawn.text
            assert not re.search(r"#[0-9a-f]{6}|https?:|nan|inf", plot.drawing)
            assert "var(--" in plot.drawing


def test_the_sentences_and_tables_hold_the_numbers():
    said = " ".join(texts(plot) for plot in plots_of(FIGURES))
    for words in (
        "Best of 2 rules: longer, which explains 90.0 %", "85.0–93.0", "these 12 agree least",
        "0.0–100.0", "at most 50.0 %", "20 of 50 pairs",
        "25.0 % less than 0.4 apart", "9 (chosen), 9 (rejected), 9 (prompt)",
        "77.8 % of the prompts have 1 pair, none more than 3 pairs",
        "33.3 % of the chosen and 33.3 % of the rejected", "write a … please", "35.0 %",
        "69.2 % of the rows looked at are in English", "15 tokens",
        "10.0 % of the labels are wrong (8.0–13.0", "pairs.jsonl:1240", "98.7 %",
        "40.0 % are saved",
        "-1.75 (chosen), -1.50 (rejected)", "would have -0.60", "1 of 3 pairs",
        "0.35 for the reference's own answers", "50.0 % of the prompts its own",
    ):  # fmt: skip
        assert words.lower() in said.lower(), words


@pytest.mark.parametrize(
    "figures",
    [
        {name: type(figure)() for name, figure in FIGURES.items()},
        {"pairs_per_prompt": {"bins": ["1", "2"], "prompts": [7, 0]}},
        {
            "endings": {
                name: {**ENDS, "chosen": 0} for name in ("closed", "unjudged", "open", "cut")
            }
        },
        {"languages": {"English": 9, "unknown": 1}},
        {"economics": {"padded": 0, "separate": 0, "packed": 0, "saved": 0, "pairs_per_batch": 8}},
        {"reference": {"chosen": [], "rejected": [], "expected": [], "prompts": []}},
        {"weak_reference": {"own": [], "chosen": [], "rejected": []}},
        {"displacement": {"ln_ches": [1.0], "apart": []}},
        {"agreement": {**FIGURES["agreement"], "pairs_by_judgements": {"2": 9}}},
    ],
)
def test_figures_without_anything_to_show_have_no_plot(figures):
    assert list(plots_of(figures)) == []


@pytest.mark.parametrize(
    "figures",
    [
        {"noise": {**FIGURES["noise"], "told": False}},
        {"annotators": [{**PERSON, "agreement": None, "low": None, "high": None}]},
        {"displacement": {"ln_ches": [1.0], "apart": [0.5]}},
        {"reference": {"chosen": [-1.0] * 300, "expected": [], "rejected": [], "prompts": []}},
        {"tokens": {"edges": [0.0, 40.0], "limit": 100_000, "chosen": [0], "rejected": [0]}},
        {"shortcuts": [{**RULE, "low": 0.0, "high": 1.0, "rule": "begins “</svg><script>”"}] * 40},
    ],
)
def test_odd_figures_are_drawn_all_the_same(figures):
    page = Page(examination_page(examined(figures=figures)))
    assert "pictures" in page.by_class
    assert "script" not in page.tags


def drawn_of(folder, **how):
    """The figures of sixty rows with all columns, and their plots."""
    rows = [
        {
            "prompt": f"Please tell me about number {n % 40}.",
            "chosen": f"Number {n} it is. " * (1 + n % 4),
            "rejected": f"No {n}",
            "annotator": f"person {n % 3}",
            "score_chosen": 1.0 + n % 3,
            "score_rejected": 1.0,
        }
        for n in range(60)
    ]
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    examination = check(str(path), **how)
    plots = list(plots_of(examination.figures))
    assert len({plot.anchor for plot in plots}) == len(plots) > 5
    Page(examination_page(examination))
    return set(examination.figures), {plot.name for plot in plots}


def test_no_check_makes_a_figure_of_which_the_page_knows_nothing(tmp_path):
    figures, drawn = drawn_of(tmp_path)
    assert figures <= TOLD | {name for name, _ in PLOTS}
    assert {"shortcuts", "lengths", "pairs", "gaps"} <= drawn


@pytest.mark.slow
def test_what_a_model_says_is_drawn(tmp_path, tiny_model):
    figures, drawn = drawn_of(tmp_path, model=str(tiny_model))
    assert figures <= TOLD | {name for name, _ in PLOTS}
    assert {"tokens", "economics", "reference", "displacement"} <= drawn


def test_names_that_are_no_plain_text_do_not_spoil_a_drawing():
    """Only numbers and our own words are in drawings; names of the data are in tables."""
    names = {**PERSON, "annotator": "$\\frac{1}{0}$\x1b\u202e<svg onload=x>"}
    html = examination_page(examined(figures={"annotators": [names] * 5}))
    page = Page(html)
    assert html.count("$\\frac{1}{0}$<span") == 5
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
