"""From the names and settings in a run file to objectives that can be called."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from preftune.errors import ConfigError
from preftune.objectives.bound import BoundObjective, Part
from preftune.objectives.catalogue import CATALOGUE
from preftune.objectives.declaration import Data, Objective
from preftune.objectives.names import OTHER_NAMES
from preftune.objectives.settings import POSITIVE, Setting


def bind(
    name: str, settings: Mapping[str, object] | None = None, *, where: str = "objective"
) -> BoundObjective:
    """Check an objective's name and settings, without loading anything.

    Args:
        name: Key of `CATALOGUE`.
        settings: What the user set; the rest takes its default.
        where: Key of the run file, for messages.

    Raises:
        ConfigError: PT303 for an unknown objective or a setting that it does not use, PT301 for
            a value of the wrong kind or out of range.

    Example:
        >>> bind("dpo", {"beta": 0.5}).parts[0].settings
        {'beta': 0.5, 'label_smoothing': 0.0}
    """
    return BoundObjective((_part(name, settings or {}, where),))


def bind_mixture(
    parts: Sequence[Mapping[str, object]], *, where: str = "objective"
) -> BoundObjective:
    """Check a weighted sum of objectives, each with `name`, `weight` (1) and its settings.

    Raises:
        ConfigError: as `bind`; PT307 where the parts can't be added up.

    Example:
        >>> bind_mixture([{"name": "dpo"}, {"name": "sft", "weight": 0.2}]).name
        'dpo+sft'
    """
    bound: list[Part] = []
    for number, given in enumerate(parts):
        place = f"{where}[{number}]"
        settings = dict(given)
        weight = settings.pop("weight", 1.0)
        name = settings.pop("name", None)
        if not isinstance(name, str):
            raise _mixture(place, "a part has no name", "write for instance {name: dpo}.")
        part = _part(name, settings, place)
        setting = Setting(1.0, POSITIVE, "weight of this objective in the sum")
        bound.append(Part(part.objective, part.settings, _number(weight, setting, place)))
    _check_mixture(bound, where)
    return BoundObjective(tuple(bound))


SMALLEST, LARGEST = 1e-30, 1e30
"""Losses are float32: beyond these a setting or its square is 0 or infinite."""

TOGETHER: tuple[frozenset[Data], ...] = (
    frozenset({"pairs", "thumbs", "demonstrations"}),
    frozenset({"ties", "demonstrations"}),
    frozenset({"rankings", "scores", "demonstrations"}),
)
"""Kinds of data that one row can serve at once: of a pair, the chosen response is the demonstration
and the good one, the rejected response the bad one."""


def _check_mixture(parts: Sequence[Part], where: str) -> None:
    if not parts:
        raise _mixture(where, "the list of objectives is empty", "name at least one.")
    names = [part.objective.name for part in parts]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise _mixture(where, f"`{twice}` is in it twice", "name it once, with one weight.")
    if len(parts) == 1 and parts[0].weight != 1:
        fix = "leave the weight out; the learning rate scales the step."
        raise _mixture(where, "a single objective has a weight", fix)
    kinds = {part.objective.data: part.objective.name for part in parts}
    if not any(kinds.keys() <= together for together in TOGETHER):
        listing = ", ".join(f"`{name}` {kind}" for kind, name in kinds.items())
        fix = "mix objectives that learn from the same kind of data."
        raise _mixture(where, f"its parts take different data: {listing}", fix)


def _mixture(where: str, problem: str, fix: str) -> ConfigError:
    return ConfigError(
        "PT307",
        f"{problem}.",
        why="every part of a mixture is computed on the same rows in the same step.",
        fix=fix,
        where=where,
    )


def _part(name: str, settings: Mapping[str, object], where: str) -> Part:
    if name not in CATALOGUE:
        raise ConfigError(
            "PT303",
            f"there is no objective `{name}`.",
            why="the objective decides which data is read and what is learnt from it.",
            fix=f"{_known_as(name)}`preftune objectives ls` lists all {len(CATALOGUE)}.",
            where=where,
        )
    objective = CATALOGUE[name]
    for key in settings:
        if key not in objective.settings:
            raise _unused(objective, key, where)
    values = {
        key: _number(settings[key], setting, f"{where}.{key}")
        if key in settings
        else setting.default
        for key, setting in objective.settings.items()
    }
    return Part(objective, values)


def _known_as(name: str) -> str:
    other = OTHER_NAMES.get(name.lower().replace("-", "_"))
    return f"here it is {other}; " if other else _did_you_mean(name, CATALOGUE)


def _unused(objective: Objective, key: str, where: str) -> ConfigError:
    known = objective.settings
    listing = f"its settings are: {', '.join(known)}." if known else "it has no settings."
    others = [other.name for other in CATALOGUE.values() if key in other.settings]
    used_by = f" It belongs to: {', '.join(others)}." if others else ""
    return ConfigError(
        "PT303",
        f"`{objective.name}` does not use the setting `{key}`.{used_by}",
        why="a setting without effect would make the run something else than it says.",
        fix=f"{_did_you_mean(key, known)}{listing}",
        where=f"{where}.{key}",
    )


def _number(value: object, setting: Setting, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        problem = f"`{value}` is not a number."
    elif value not in setting.interval:
        problem = f"{value} is outside {setting.interval}."
    elif value and not SMALLEST <= abs(value) <= LARGEST:
        problem = f"{value} is beyond what float32 can reckon with."
    else:
        return float(value)
    raise ConfigError(
        "PT301",
        problem,
        why=f"it is the {setting.summary}.",
        fix=f"give a number in {setting.interval}; the default is {setting.default:g}.",
        where=where,
    )


def _did_you_mean(name: str, known: Mapping[str, Any]) -> str:
    close = get_close_matches(name.lower(), known, n=2)
    return f"did you mean {' or '.join(f'`{one}`' for one in close)}? " if close else ""
