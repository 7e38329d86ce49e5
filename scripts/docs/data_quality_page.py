"""Examine real data sets and write what was found into `docs/data-quality.md`, with a picture each.

    python scripts/docs/data_quality_page.py ../shared/data --model ../shared/models/stories260k

The tables between the marks are written anew; the words around them are a person's.
"""

import argparse
import gzip
import json
import re
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from PIL import Image

import preftune
from preftune.records import Examination

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "data-quality.md"
PICTURES = DOCS / "data-quality"

SETS: dict[str, str] = {
    "hh-harmless": "hh-harmless/train.jsonl.gz",
    "chat-pairs": "chat-pairs/dpo_en_demo.json",
    "argument-crowd": "argument-crowd",
    "pandalm": "pandalm/testset-v1.json",
    "ultrafeedback": "ultrafeedback/scored.jsonl.gz",
    "oasst": "oasst/trees.jsonl.gz",
    "polite-pairs": "polite-pairs/instruction-data-with-preference.json",
    "stories-pairs": "stories-pairs/pairs.jsonl",
}
"""The sets by the name of their section, and where they lie."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", help="the model that wrote stories-pairs")
    parser.add_argument("--only", action="append", choices=SETS, help="one set; may be repeated")
    asked = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    for name in asked.only or SETS:
        found = examine(name, asked.data, asked.model)
        draw(found, PICTURES / f"{name}.png")
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(with_section(text, name, found), encoding="utf-8")
        print(f"{name}: {found.verdict}")


def examine(name: str, data: Path, model: str | None) -> Examination:
    """What `check` says of one of the sets."""
    path = data / SETS[name]
    if name == "argument-crowd":
        with tempfile.TemporaryDirectory() as folder:
            joined = Path(folder) / "argument-crowd.jsonl"
            joined.write_text("".join(json.dumps(row) + "\n" for row in crowd(path)))
            return preftune.check(str(joined))
    options: dict[str, Any] = {}
    if name == "hh-harmless":
        options["held_out"] = str(data / "hh-harmless/test.jsonl.gz")
    if name == "stories-pairs":
        options["model"] = model
    return preftune.check(str(path), **options)


def crowd(folder: Path) -> list[dict[str, str]]:
    """The crowd's judgements, one a row, with the texts of both arguments."""

    def lines(file: str) -> list[dict[str, str]]:
        with gzip.open(folder / file, "rt", encoding="utf-8") as rows:
            return [json.loads(row) for row in rows]

    texts = {row["id"]: row["text"] for row in lines("arguments.jsonl.gz")}
    rows: list[dict[str, str]] = []
    for row in lines("judgments.jsonl.gz"):
        first, second = row["pair"].split("_")
        rows.append(
            {
                "prompt": row["topic"].replace("-", " "),
                "response_a": texts[first],
                "response_b": texts[second],
                "annotator": row["annotator"],
                "verdict": row["label"],
            }
        )
    return rows


def with_section(page: str, name: str, found: Examination) -> str:
    """The page with the table of this set in its place."""
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    lines = [
        start,
        "",
        f"**{found.verdict[:1].upper()}{found.verdict[1:]}**",
        "",
        f"{found.rows:,} rows = {found.used:,} used + {sum(found.excluded.values()):,} excluded; "
        f"{found.pairs:,} pairs over {found.prompts:,} prompts.",
        "",
        f"![what the checks found in {name}](data-quality/{name}.png)",
        "",
        "| | code | found |",
        "|---|---|---|",
        *(
            f"| {one.severity.name} | {one.code} | {one.sentence.replace('|', '/')} |"
            for one in found.findings
        ),
        "",
        end,
    ]
    pattern = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
    assert pattern.search(page), f"the page has no place for {name}"
    return pattern.sub(lambda _: "\n".join(lines), page)


def draw(found: Examination, path: Path) -> None:
    """Three panels: which rules predict the label, lengths, and what is particular to the set."""
    mpl.use("Agg")
    figures = dict(found.figures)
    panels: list[Callable[[Axes], None]] = []
    for name, panel in PANELS:
        if figures.get(name) and len(panels) < 3:
            figure: Any = figures[name]
            panels.append(lambda axes, figure=figure, panel=panel: panel(axes, figure))
    figure, axes = plt.subplots(1, len(panels), figsize=(4.6 * len(panels), 3.4), squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        panel(axis)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    drawn = BytesIO()
    figure.savefig(drawn, dpi=100)
    plt.close(figure)
    Image.open(drawn).convert("RGB").quantize(64).save(path, optimize=True)


def shortcuts(axes: Axes, rules: list[dict[str, Any]]) -> None:
    """Of the pairs in which a rule decides, how many it gets right."""
    shown = sorted(rules, key=lambda rule: -rule["explained"])[:8][::-1]
    for place, rule in enumerate(shown):
        axes.plot([rule["low"], rule["high"]], [place, place], color="tab:blue", lw=2)
        axes.plot(rule["accuracy"], place, "o", color="tab:blue", ms=4)
    names = [f"{rule['rule']} ({rule['decides']:.0%})" for rule in shown]
    axes.set_yticks(range(len(shown)), names, fontsize=7)
    axes.axvline(0.5, color="grey", lw=0.8)
    axes.set_xlim(0.35, 1.0)
    axes.set_title("rule right where it decides (on so many pairs)", fontsize=9)


def lengths(axes: Axes, figure: dict[str, Any]) -> None:
    """Words of each side."""
    for side, colour in (("chosen", "tab:blue"), ("rejected", "tab:orange")):
        if figure.get(side):
            axes.stairs(figure[side], figure["bins"], color=colour, label=side)
    axes.set_xscale("symlog", linthresh=8)
    axes.set_xlabel("words", fontsize=8)
    axes.legend(frameon=False, fontsize=8)
    axes.set_title("lengths of the responses", fontsize=9)


def annotators(axes: Axes, people: list[dict[str, Any]]) -> None:
    """Each annotator's agreement with the others, those with the fewest judgements left out."""
    judged = sorted(people, key=lambda one: one["agreement"])
    places = range(len(judged))
    axes.vlines(places, [o["low"] for o in judged], [o["high"] for o in judged], color="lightgrey")
    axes.plot(places, [one["agreement"] for one in judged], ".", ms=3)
    axes.set_xlabel("annotators, by agreement", fontsize=8)
    axes.set_title("agreement with the others on the same pairs", fontsize=9)


def gaps(axes: Axes, figure: dict[str, Any]) -> None:
    """Score of chosen less that of rejected."""
    axes.stairs(figure["counts"], figure["edges"], fill=True, color="tab:blue")
    axes.set_title("gaps of the scores", fontsize=9)


def templates(axes: Axes, found: list[dict[str, Any]]) -> None:
    """The most frequent beginnings of prompts."""
    shown = found[:8][::-1]
    axes.barh(range(len(shown)), [one["share"] for one in shown], color="tab:blue")
    axes.set_yticks(range(len(shown)), [one["template"][:32] for one in shown], fontsize=7)
    axes.set_title("share of the prompts with a template", fontsize=9)


PANELS: tuple[tuple[str, Callable[[Axes, Any], None]], ...] = (
    ("shortcuts", shortcuts),
    ("lengths_in_words", lengths),
    ("annotators", annotators),
    ("score_gaps", gaps),
    ("templates", templates),
)


if __name__ == "__main__":
    main()
