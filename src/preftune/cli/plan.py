"""`preftune train … --plan`: what a run will cost, as a person reads it."""

import json
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import typer

from preftune.cli.console import terminal_watch

if TYPE_CHECKING:
    from preftune.training.plan.plan import Plan
    from preftune.training.plan.remedies import Remedy
    from preftune.training.runfile import Resolved


def show_plan(
    resolved: "Resolved",
    *,
    memory: str | None,
    price: float | None,
    as_json: bool,
    trust_remote_code: bool,
) -> None:
    """Print the plan on stdout. Exits with 3 where the run can't fit."""
    from preftune.training.plan.machine import parse_bytes
    from preftune.training.plan.plan import plan

    found = plan(
        resolved,
        terminal_watch(),
        memory=None if memory is None else parse_bytes(memory),
        price=price,
        trust_remote_code=trust_remote_code,
    )
    if as_json:
        typer.echo(json.dumps(_document(found)))
    else:
        for line in (*_memory(found), *_work(found), *_costs(found), *_verdict(found)):
            typer.echo(line)
    if not found.fits:
        raise typer.Exit(3)


def _memory(plan: "Plan") -> list[str]:
    from preftune.training.plan.memory import PARTS

    peak = plan.memory.peak
    on = "on" if plan.checkpointing else "off"
    lines = [f"memory on one device ({plan.device}); activation checkpointing {on}"]
    for key, name in PARTS.items():
        if peak.parts.get(key):
            lines.append(f"  {name:<28}{size(peak.parts[key]):>12}")
    when = {"update": "in the optimiser's update", "forward": "in the forward pass"}
    lines.append(
        f"  {'at the fullest moment':<28}{size(peak.total):>12}   "
        f"{when.get(peak.name, 'in the backward pass')}"
    )
    return [*lines, f"  {'free':<28}{size(plan.free):>12}", ""]


def _work(plan: "Plan") -> list[str]:
    work = plan.work
    most = f"at most {work.num_batches:,} micro-batches a step"
    lines = [
        f"{'optimiser steps':<30}{work.steps:>12,}   {work.micro_batches:,} micro-batches, {most}",
        f"{'tokens':<30}{work.tokens:>12,}",
        f"{'with the prompt repeated':<30}{work.unshared_tokens:>12,}   "
        f"sharing it saves {work.saved_by_sharing:.0%}",
        f"{'and padded, 8 prompts a batch':<30}{work.padded_tokens:>12,}   "
        f"{work.padding:.0%} of it padding",
    ]
    if plan.memory.layout == "padded":
        lines.append("this architecture can't run packed rows: it gets padded ones of like length")
    return [*lines, ""]


def _costs(plan: "Plan") -> list[str]:
    from preftune.training.plan.cost import EFFICIENCY

    disk, time = plan.disk, plan.time
    lines = [
        f"{'disk':<30}{size(disk.total):>12}   checkpoints {size(disk.checkpoints)}, model "
        f"{size(disk.model)}, reference cache {size(disk.reference_cache)}",
        f"{'time, an estimate':<30}{timedelta(seconds=round(time.seconds))!s:>12}   "
        f"{time.training + time.reference + time.evaluation:.2g} operations at {EFFICIENCY:.0%} of "
        f"{time.rate:.2g} a second",
    ]
    if plan.cost is not None:
        lines.append(f"{'cost, an estimate':<30}{plan.cost:>12,.2f}   at {plan.price:g} an hour")
    return [*lines, ""]


def _verdict(plan: "Plan") -> list[str]:
    share = plan.memory.peak.total / plan.free
    if plan.fits:
        return [f"fits: {share:.0%} of the free memory.{_tight(plan, share)}"]
    lines = [f"does not fit: {share:.0%} of the free memory. What would save most:"]
    if all(remedy.peak > plan.free for remedy in plan.remedies):
        process = plan.memory.peak.parts.get("process", 0)
        alone = f" Python, torch and the data alone take {size(process)}." if process else ""
        lines = [f"does not fit: {share:.0%} of the free memory, and nothing known helps.{alone}"]
        lines += ["What would save most:"] if plan.remedies else []
    return [*lines, *(line for remedy in plan.remedies for line in _remedy(plan, remedy))]


def _tight(plan: "Plan", share: float) -> str:
    from preftune.training.plan.machine import USABLE

    if share > USABLE:
        return " It is tight: the plan may be off by a tenth."
    if share > plan.usable:
        return (
            " It is tight: glibc's malloc may keep half as much again, unless "
            "MALLOC_MMAP_THRESHOLD_=1048576 is set."
        )
    return ""


def _remedy(plan: "Plan", remedy: "Remedy") -> list[str]:
    fits = "fits" if remedy.peak <= plan.free else "    "
    sets = " ".join(f"--set {key}={_value(value)}" for key, value in remedy.settings.items())
    return [
        f"  {fits}  {size(remedy.peak):>10}  saves {size(remedy.saved):>10}  {sets}",
        f"{'':<39}{remedy.price}",
    ]


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def size(count: float) -> str:
    """Bytes as a person reads them.

    >>> size(24 * 2**30), size(1536), size(0)
    ('24.0 GiB', '1.5 KiB', '0 B')
    """
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if abs(count) >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count:.0f} B"


def _document(plan: "Plan") -> dict[str, Any]:
    work = asdict(plan.work)
    del work["fullest"]
    peak = plan.memory.peak
    return {
        "version": 1,
        "fits": plan.fits,
        "device": plan.device,
        "free_bytes": plan.free,
        "usable_share": plan.usable,
        "checkpoint_activations": plan.checkpointing,
        "layout": plan.memory.layout,
        "peak": {"bytes": peak.total, "moment": peak.name, "parts": peak.parts},
        "moments": {one.name: one.total for one in plan.memory.moments},
        "parameters": plan.memory.parameters,
        "trained_parameters": plan.memory.trained,
        "work": work,
        "disk": asdict(plan.disk) | {"total": plan.disk.total},
        "time": asdict(plan.time) | {"seconds": plan.time.seconds},
        "price": plan.price,
        "cost": plan.cost,
        "remedies": [asdict(remedy) for remedy in plan.remedies],
    }
