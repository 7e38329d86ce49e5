"""Run files: YAML, flags and `--set` merged into one validated configuration with origins."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast, get_args

import yaml
from pydantic import ValidationError

from preftune.errors import ConfigError
from preftune.objectives.binding import bind, bind_mixture
from preftune.objectives.bound import BoundObjective
from preftune.training.config import RunSettings, Settings
from preftune.training.effects import check_effects
from preftune.training.yaml_file import Loader, Origins, flatten, read_yaml, write_yaml

LORA_LR = 10
"""Adapters learn best at about ten times the rate of all weights, whatever their rank (Schulman et
al. 2025, "LoRA Without Regret", thinkingmachines.ai/blog/lora)."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A validated configuration, and where each value came from."""

    settings: RunSettings
    origins: Origins


WANTED = {
    "data.held_out": "should be a share in [0, 1) or a file",
    "lora": "should be settings such as {rank: 16}, or null",
    "lora.targets": "should be a list of names of layers, or all-linear",
}
"""What a key takes, where pydantic's words for it would be several."""


def resolve(
    file: Path | None = None,
    given: Mapping[str, Any] | None = None,
    sets: Sequence[str] = (),
    *,
    flags: Mapping[str, str] | None = None,
) -> Resolved:
    """Merge a run file, flags and `key=value` settings (later ones win) and validate everything.

    Args:
        file: Run file, or none.
        given: Dotted key → value, from flags or from a caller in Python.
        sets: `key=value` texts; the value is read as YAML.
        flags: Dotted key → the flag it was given by, for the origins; else `argument`.

    Raises:
        ConfigError: all mistakes at once: unknown keys with a suggestion, values out of range.
    """
    tree, origins = read_yaml(file) if file else ({}, {})
    for key, value in (given or {}).items():
        _put(tree, key, str(value) if isinstance(value, Path) else deepcopy(value))
        origins[key] = (flags or {}).get(key, "argument")
    for text in sets:
        key, value = _parse_set(text)
        _put(tree, key, value)
        origins[key] = f"--set {text}"
    _name_the_out_folder(tree)
    try:
        settings = RunSettings.model_validate(tree)
    except ValidationError as error:
        raise _explain(error, origins) from None
    settings = _fill_in(settings)
    return Resolved(settings, _complete(settings, origins))


def bind_objective(settings: RunSettings) -> BoundObjective:
    """The objective with its settings checked. `ConfigError` names what does not fit."""
    if isinstance(settings.objective, list):
        return bind_mixture(settings.objective)
    chosen = dict(settings.objective)
    return bind(chosen.pop("name"), chosen)


def _fill_in(settings: RunSettings) -> RunSettings:
    """The defaults that the objective decides: its own settings and its learning rate."""
    bound = bind_objective(settings)
    check_effects(settings, bound)
    whole = [{"name": part.objective.name, **part.settings} for part in bound.parts]
    objective: Any = whole[0]
    if isinstance(settings.objective, list):
        objective = [
            {**chosen, "weight": part.weight}
            for chosen, part in zip(whole, bound.parts, strict=True)
        ]
    lr, lora = settings.optimizer.lr or bound.learning_rate, settings.lora
    if lora is not None:
        if settings.optimizer.lr is None:
            lr = float(f"{LORA_LR * lr:.12g}")
        lora = lora.model_copy(update={"alpha": lora.alpha or 2.0 * lora.rank})
    reference = settings.reference
    if reference.every is not None and reference.mix is None:
        reference = reference.model_copy(update={"mix": 1.0})
    return settings.model_copy(
        update={
            "objective": objective,
            "reference": reference,
            "lora": lora,
            "optimizer": settings.optimizer.model_copy(update={"lr": lr}),
        }
    )


def _parse_set(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(
            "PT301",
            f"`--set {text}` is not of the form key=value.",
            why="the value to change can't be found.",
            fix="write for instance --set optimizer.lr=5e-7.",
        )
    try:
        return key.strip(), yaml.load(value, Loader)
    except (ValueError, yaml.YAMLError):
        return key.strip(), value


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key, opening the short forms `data: FILE` and `objective: NAME`."""
    *parents, last = key.split(".")
    for parent in parents:
        below: Any = tree.get(parent)
        if isinstance(below, str):
            below = {{"data": "train", "objective": "name"}.get(parent, last): below}
        if isinstance(below, list):
            raise _inside_a_list(key, parent)
        if not isinstance(below, dict):
            below = {}
        tree[parent] = below
        tree = cast(dict[str, Any], below)
    tree[last] = value


def _inside_a_list(key: str, parent: str) -> ConfigError:
    return ConfigError(
        "PT301",
        f"`{key}` can't be set: `{parent}` is a list.",
        why="it would not say which of them is meant.",
        fix=f"change it in the run file, or give the whole list with --set '{parent}=[…]'.",
        where=parent,
    )


def _name_the_out_folder(tree: dict[str, Any]) -> None:
    """`runs/MODEL-OBJECTIVE` where no folder is named."""
    given: Any = tree.get("objective")
    parts: list[Any] = given if isinstance(given, list) else [given]  # pyright: ignore[reportUnknownVariableType]
    names = [
        cast(dict[str, Any], part).get("name") if isinstance(part, dict) else part for part in parts
    ]
    objective = "+".join(map(str, names)) if all(isinstance(name, str) for name in names) else None
    if "out" not in tree and isinstance(tree.get("model"), str) and isinstance(objective, str):
        base = Path(tree["model"]).name or "model"
        tree["out"] = f"runs/{base}-{objective}"


def _explain(error: ValidationError, origins: Origins) -> ConfigError:
    """One message for all mistakes, each with its place and, for a typo, the right word."""
    lines: list[str] = []
    codes: list[str] = []
    for mistake in error.errors():
        path = _known(mistake["loc"])
        key = ".".join(path)
        place = f" ({origins[key]})" if key in origins else ""
        if mistake["type"] == "extra_forbidden":
            codes.append("PT300")
            lines.append(f"`{key}`{place} is unknown{_suggest(path)}")
        elif mistake["type"] == "missing":
            codes.append("PT302")
            lines.append(f"`{key}` is missing{_hint(key)}")
        else:
            codes.append("PT301")
            seen = mistake.get("input")
            wanted = WANTED.get(key, mistake["msg"].removeprefix("Value error, "))
            lines.append(f"`{key}`{place} = {seen!r}: {wanted}")
    return ConfigError(
        codes[0],
        "; ".join(dict.fromkeys(lines)) + ".",
        where="configuration",
        why="nothing is loaded or trained before every setting is understood.",
        fix="correct the lines named; `preftune train --help` shows examples.",
    )


def _known(location: Sequence[str | int]) -> list[str]:
    """The keys of a mistake's place, without pydantic's own names for the kinds of a union."""
    model: type[Settings] | None = RunSettings
    keys: list[str] = []
    for part in location:
        if not isinstance(part, str) or model is None:
            break
        keys.append(part)
        model = _settings_below(model, part)
    return keys


def _settings_below(model: type[Settings], key: str) -> type[Settings] | None:
    """The settings that a key holds, also where it may be null; none where it holds a value."""
    field = model.model_fields.get(key)
    annotation: Any = None if field is None else field.annotation
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, Settings):
            return kind
    return None


def _suggest(path: Sequence[str]) -> str:
    model: type[Settings] = RunSettings
    for part in path[:-1]:
        model = _settings_below(model, part) or model
    parent = "".join(f"{part}." for part in path[:-1])
    close = get_close_matches(path[-1], list(model.model_fields), n=1, cutoff=0.5)
    everything = ", ".join(model.model_fields)
    return f"; did you mean `{parent}{close[0]}`?" if close else f"; known are {everything}"


def _hint(key: str) -> str:
    return {
        "model": ": name one with --model",
        "data": ": name a file with --data",
        "data.train": ": name a file with --data",
        "objective": ": name one with --objective (`preftune objectives ls` lists them)",
        "out": ": name a run folder with --out",
    }.get(key, "")


def _complete(settings: RunSettings, origins: Origins) -> Origins:
    """An origin for every leaf: what nobody set is `default`."""
    opened = dict(origins)
    if settings.lora is not None:
        rate = "default: 10 times that of all weights (Schulman et al. 2025, LoRA Without Regret)"
        opened.setdefault("optimizer.lr", rate)
    shorts = [("data", "data.train"), ("objective", "objective.name")]
    for short, whole in shorts[: 1 if isinstance(settings.objective, list) else 2]:
        if short in opened:
            opened.setdefault(whole, opened.pop(short))
    return {key: opened.get(key, "default") for key in flatten(settings.model_dump(mode="json"))}


def write_run_file(resolved: Resolved) -> str:
    """The resolved run file, with the origin of every value. It says the same run again."""
    return write_yaml(resolved.settings.model_dump(mode="json"), resolved.origins)
