"""`preftune objectives`: what each loss is, what it needs, when to use it."""

import json
from textwrap import fill
from typing import Annotated, Any

import typer

from preftune.cli.options import AsJson
from preftune.objectives.declaration import Objective

objectives = typer.Typer(
    help="List and explain the objectives.", no_args_is_help=True, rich_markup_mode=None
)

WIDTH = 22
"""Of the left column: the longest name of a setting fits."""

_DATA = {
    "demonstrations": "single responses; of pairs the chosen one",
    "pairs": "pairs: chosen and rejected",
    "ties": "pairs, of which some may be ties",
    "thumbs": "single responses judged good or bad",
    "rankings": "several responses in order, ties allowed",
    "scores": "several responses with a rating each",
}
_REFERENCE = {
    "none": "none",
    "logps": "log-probs, scored once and cached",
    "distribution": "its whole distribution: kept live beside the policy",
}
_SCOPE = {
    "example": "each example alone",
    "step": "the whole optimiser step: statistics over it enter the loss",
}


@objectives.command("ls")
def ls(
    *,
    data: Annotated[
        str | None, typer.Option(help="Only those that learn from: " + ", ".join(_DATA) + ".")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the objectives.

    preftune objectives ls

    preftune objectives ls --data thumbs
    """
    from preftune.objectives.catalogue import CATALOGUE

    if data is not None and data not in _DATA:
        raise _unknown_data(data)
    chosen = [one for one in CATALOGUE.values() if data in {None, one.data}]
    if as_json:
        typer.echo(json.dumps({"version": 1, "objectives": [_entry(one) for one in chosen]}))
        return
    width = max(len(one.name) for one in chosen)
    for one in chosen:
        reference = "no reference" if one.reference == "none" else "reference"
        typer.echo(f"{one.name:<{width}}  {one.data:<14}  {reference:<12}  {one.summary}")
    typer.echo("more: preftune objectives show NAME", err=True)


@objectives.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Such as dpo; `ls` lists them.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Explain an objective: formula, data, defaults, when to use it and when not.

    preftune objectives show kto
    """
    from preftune.objectives.binding import bind

    one = bind(name, where="objectives show").parts[0].objective
    typer.echo(json.dumps({"version": 1, **_entry(one)}) if as_json else _page(one))


def _page(one: Objective) -> str:
    low, high = one.learning_rate_range
    lines = [
        f"{one.name}: {one.summary}",
        "",
        _field("loss", one.formula),
        _field("reward", one.rewards),
        _field("at the start", one.at_start),
        _field("data", _DATA[one.data]),
        *[_field("needs", text) for text in _needs(one)],
        _field("reference", _REFERENCE[one.reference]),
        _field("looks at", _SCOPE[one.scope]),
        _field("divided by", f"the number of {one.denominator} of the whole optimiser step"),
        _field("learning rate", f"{one.learning_rate:g} ({low:g} to {high:g}), full fine-tuning"),
    ]
    for key, setting in one.settings.items():
        what = f"{setting.summary}; in {setting.interval}, default {setting.default:g}"
        lines.append(_field(f"  {key}", what))
    lines += ["", _field("when", one.when), _field("when not", one.when_not)]
    lines += [_field("pitfall", pitfall) for pitfall in one.pitfalls]
    lines += ["", _field("paper", one.paper), _field("try", _example(one))]
    return "\n".join(lines)


def _needs(one: Objective) -> list[str]:
    """What data or work it asks for beside the usual, and what it can't learn from."""
    found: list[str] = []
    if one.margins != "no":
        found.append(
            "how much better chosen was judged: `margin`, or `score_chosen`, `score_rejected`"
        )
    if one.mismatched:
        found.append("every prompt also with the response of another one, without gradient")
    if one.running:
        found.append("figures that run from step to step; they are in the checkpoint")
    if one.data in {"pairs", "ties"} and not one.soft:
        found.append("judgements without doubt: rows with a strength below 1 are refused")
    if not one.weighted:
        found.append("judgements that weigh alike: rows with weights are refused")
    return found


def _field(name: str, text: str) -> str:
    first, rest = f"{name:<{WIDTH}}", " " * WIDTH
    return fill(text, 100, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def _example(one: Objective) -> str:
    return f"preftune train --model ./sft --data FILE --objective {one.name}"


def _entry(one: Objective) -> dict[str, Any]:
    return {
        "name": one.name,
        "summary": one.summary,
        "data": one.data,
        "reference": one.reference,
        "scope": one.scope,
        "denominator": one.denominator,
        "vocabulary": list(one.vocabulary),
        "margins": one.margins,
        "mismatched": one.mismatched,
        "running": bool(one.running),
        "soft": one.soft,
        "weighted": one.weighted,
        "formula": one.formula,
        "reward": one.rewards,
        "at_start": one.at_start,
        "settings": {
            key: {
                "default": setting.default,
                "range": str(setting.interval),
                "summary": setting.summary,
            }
            for key, setting in one.settings.items()
        },
        "learning_rate": one.learning_rate,
        "learning_rate_range": list(one.learning_rate_range),
        "when": one.when,
        "when_not": one.when_not,
        "pitfalls": list(one.pitfalls),
        "paper": one.paper,
    }


def _unknown_data(data: str) -> Exception:
    from preftune.errors import ConfigError

    return ConfigError(
        "PT301",
        f"`{data}` is no kind of data.",
        why="objectives are told apart by what they learn from.",
        fix=f"the kinds are: {', '.join(_DATA)}.",
        where="--data",
    )
