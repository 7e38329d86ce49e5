"""What was measured, as Markdown."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.step.data import BATCH

GB = 1e9
Row = dict[str, Any]


def markdown(document: dict[str, Any]) -> str:
    """All tables that have rows."""
    parts = [_machine(document)]
    for title, key, make in TABLES:
        if document.get(key):
            parts.append(f"### {title}\n\n{make(document[key])}")
    return "\n\n".join(parts) + "\n"


def write(text: str, file: Path, section: str) -> None:
    """Put the tables into a page, between its marks for the section; or make a page of them."""
    start, end = f"<!-- measured: {section} -->", f"<!-- end: {section} -->"
    page = file.read_text(encoding="utf-8") if file.exists() else f"{start}\n{end}\n"
    if start not in page or end not in page:
        raise SystemExit(f"{file} has no place for the tables: no lines `{start}` and `{end}`.")
    before, rest = page.split(start, 1)
    after = rest.split(end, 1)[1]
    file.write_text(f"{before}{start}\n\n{text}\n{end}{after}", encoding="utf-8")


def _machine(document: dict[str, Any]) -> str:
    known = document["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in known["versions"].items())
    allocator = ", ".join(f"{k}={v}" for k, v in known["allocator"].items())
    return (
        f"`{document['command']}`\n\n"
        f"{known['processor']}, {known['cores']} cores ({', '.join(known['instructions'])}), "
        f"{known['threads']} threads, {known['memory_gib']} GiB"
        f"{', ' + known['gpu'] if known['gpu'] else ''}; Python {known['python']}, {versions}; "
        f"allocator: {allocator or 'as it comes'}."
    )


def _table(header: str, rows: Iterable[Sequence[str]]) -> str:
    names = header.split("|")
    lines = ["| " + " | ".join(name.strip() for name in names) + " |", "|---" * len(names) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _rate(one: Row) -> str:
    return f"{_short(one['pairs_per_second'])} ({_short(one['slowest'])}–{_short(one['fastest'])})"


def _short(number: float) -> str:
    return f"{number:.3g}" if number < 100 else f"{number:,.0f}"


def _size(count: float) -> str:
    return f"{count / GB:.2f} GB"


def _setup(row: Row) -> str:
    kind = "LoRA" if row.get("lora") else "full"
    fewer = "" if row.get("pairs", BATCH) == BATCH else f", {row['pairs']} pairs"
    return f"{row['shape']}, {row['data']}, {row['dtype']}, {kind}{fewer}"


def _comparisons(rows: Sequence[Row]) -> str:
    return _table(
        "set-up | against | its pairs/s | peak | preftune | peak | faster | memory | losses differ "
        "| share of floor",
        map(_comparison, rows),
    )


def _comparison(row: Row) -> list[str]:
    if "died" in row:
        return [_setup(row), row["died"], *[""] * 8]
    theirs, ours = row["measured"]
    return [
        _setup(row),
        theirs["name"],
        _rate(theirs),
        _size(theirs["peak"]),
        _rate(ours),
        _size(ours["peak"]),
        f"**{row['ratio']:.1f}×** ({row['lowest']:.1f}–{row['highest']:.1f})",
        f"{row['memory']:.0%}",
        f"{row['loss_difference']:.0e}",
        "" if row["share"] is None else f"{row['share']:.0%}",
    ]


def _ladder(rows: Sequence[Row]) -> str:
    living = [row for row in rows if "died" not in row]
    return _table(
        "step | pairs/s | peak | of preftune's speed, in turns",
        (
            [
                row["measured"][0]["name"],
                _rate(row["measured"][0]),
                _size(row["measured"][0]["peak"]),
                f"{1 / row['ratio']:.0%}",
            ]
            for row in living
        ),
    )


def _head(rows: Sequence[Row]) -> str:
    return _table(
        "head | dtype | seconds | extra memory | without the weight's gradient",
        (
            [
                row["way"],
                row["dtype"],
                f"{row['seconds']:.2f} ({row['fastest']:.2f}–{row['slowest']:.2f})",
                _size(row["peak"]),
                _size(row["peak"] - row["gradient"]),
            ]
            for row in rows
        ),
    )


def _lengths(rows: Sequence[Row]) -> str:
    names = ("unique", "apart", "padded", "padded_sorted", "responses")
    return _table(
        "data | prompt once | twice | padded in batches of 8 | the same, sorted | responses",
        (
            [
                f"{row['data']}, {row['words']:,} words, {what}",
                *(f"{row[key][name]:.0f}" for name in names),
            ]
            for row in rows
            for key, what in (
                ("whole", "whole file"),
                ("drawn", f"the {row['batches']} batches measured"),
            )
        ),
    )


def _ceilings(rows: Sequence[Row]) -> str:
    return _table(
        "shape | dtype | tokens | GFLOP/s at best | the mean of all its matmuls",
        (
            [
                row["shape"],
                row["dtype"],
                f"{row['tokens']:,}",
                f"{row['best'] / 1e9:,.0f}",
                f"{row['mean'] / 1e9:,.0f}",
            ]
            for row in rows
        ),
    )


def _growth(rows: Sequence[Row]) -> str:
    return _table(
        "what grows | to | TRL, ms a pair | preftune, ms a pair | faster",
        (
            [
                row["axis"],
                f"{row['value']:,}",
                f"{row['trl'] * 1e3:.0f}",
                f"{row['preftune'] * 1e3:.0f}",
                f"{row['trl'] / row['preftune']:.1f}×",
            ]
            for row in rows
        ),
    )


TABLES: tuple[tuple[str, str, Callable[[Sequence[Row]], str]], ...] = (
    ("Against TRL", "comparisons", _comparisons),
    ("One technique at a time", "ladder", _ladder),
    ("The head alone", "head", _head),
    ("How the cost grows", "growth", _growth),
    ("Tokens of a pair", "lengths", _lengths),
    ("How fast this machine multiplies", "ceilings", _ceilings),
)
