"""The grid: which settings are tried, and what each combination is called. Imports no torch."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

import yaml

from preftune.errors import ConfigError
from preftune.training.yaml_file import Loader

LONGEST_VALUE, LONGEST_NAME = 40, 150
"""Characters of a value and of a whole name; longer ones are cut and told apart by a hash."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A key of the run file and the values that it takes in turn."""

    key: str
    values: tuple[Any, ...]

    @property
    def word(self) -> str:
        """The last part of the key: `beta` of `objective.beta`."""
        return self.key.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Combination:
    """One value for each key."""

    name: str
    """Readable, unique in its grid, and safe as a folder: `beta=0.1,name=dpo`."""
    setting: str
    """The name without the seed: combinations that share it are repetitions of each other."""
    values: Mapping[str, Any]


def parse_grid(texts: Sequence[str], seeds: str | None = None) -> list[Axis]:
    """The axes of `key=value,value` texts; a value is anything that YAML allows in a list.

    Args:
        texts: Of `--grid`.
        seeds: Of `--seeds`: `0,1,2`.

    Raises:
        ConfigError: no grid (PT302), a text that is no axis, a key that stands twice (PT301).

    Example:
        >>> parse_grid(["optimizer.lr=1e-6,5e-7"])
        [Axis(key='optimizer.lr', values=(1e-06, 5e-07))]
        >>> parse_grid(["lora.targets=[q_proj, v_proj],all-linear"])[0].values
        (['q_proj', 'v_proj'], 'all-linear')
    """
    if not texts and seeds is None:
        raise ConfigError(
            "PT302",
            "the grid is empty.",
            where="--grid",
            why="a sweep compares runs that differ.",
            fix="give for instance --grid objective.beta=0.03,0.1,0.3.",
        )
    axes = [_parse(text, f"--grid {text}") for text in texts]
    if seeds is not None:
        axes.append(_parse(f"seed={seeds}", f"--seeds {seeds}"))
    keys = [axis.key for axis in axes]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise _wrong(f"the key `{twice}` stands twice.", "--grid", "give all its values in one.")
    return axes


def combinations(axes: Sequence[Axis]) -> list[Combination]:
    """Every combination, the last key changing fastest.

    >>> axes = parse_grid(["objective.beta=0.1,1", "objective.name=dpo,simpo"])
    >>> [one.name for one in combinations(axes)]
    ['beta=0.1,name=dpo', 'beta=0.1,name=simpo', 'beta=1,name=dpo', 'beta=1,name=simpo']
    """
    words = [axis.word for axis in axes]
    shown = [axis.word if words.count(axis.word) == 1 else axis.key for axis in axes]
    texts = [_distinct([written(value) for value in axis.values]) for axis in axes]
    found: list[Combination] = []
    for chosen in product(*(range(len(axis.values)) for axis in axes)):
        parts = {
            axis.key: f"{word}={row[at]}"
            for axis, word, row, at in zip(axes, shown, texts, chosen, strict=True)
        }
        others = [part for key, part in parts.items() if key != "seed"] or ["all seeds"]
        values = {axis.key: axis.values[at] for axis, at in zip(axes, chosen, strict=True)}
        name, setting = (",".join(those) for those in (parts.values(), others))
        found.append(Combination(_cut(name, LONGEST_NAME), _cut(setting, LONGEST_NAME), values))
    return found


def written(value: Any) -> str:
    """A value in a name: short, and of characters that no shell or file system minds.

    >>> [written(value) for value in (5e-7, True, None, "org/model", ["q_proj", "v_proj"])]
    ['5e-7', 'true', 'null', 'org-model', 'q_proj+v_proj']
    """
    if isinstance(value, float):
        short = f"{value:g}"
        exact = short if float(short) == value else repr(value)
        return re.sub(r"e([+-])0+", r"e\1", exact).replace("e+", "e")
    if isinstance(value, list):
        return _cut("+".join(written(one) for one in cast(list[Any], value)), LONGEST_VALUE)
    if isinstance(value, dict):
        leaves = cast(dict[str, Any], value).items()
        return _cut("+".join(f"{key}-{written(one)}" for key, one in leaves), LONGEST_VALUE)
    if not isinstance(value, str):
        return json.dumps(value)
    safe = re.sub(r"[^\w.+-]+", "-", value, flags=re.ASCII).strip("-.")
    return _cut(safe or "-", LONGEST_VALUE)


def _parse(text: str, where: str) -> Axis:
    key, equals, listed = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise _wrong("it is not of the form key=value,value.", where, "name a key of the run file.")
    values = _values(listed, where)
    if len(values) < 2:
        fix = f"give two or more, or set it for all runs: --set {key}={listed.strip() or '…'}."
        raise _wrong(f"`{key}` has {len(values) or 'no'} value.", where, fix)
    known = [json.dumps(value, sort_keys=True) for value in values]
    again = next((one for place, one in enumerate(known) if one in known[:place]), None)
    if again is not None:
        raise _wrong(f"the value {again} of `{key}` stands twice.", where, "give it once.")
    return Axis(key, values)


def _values(listed: str, where: str) -> tuple[Any, ...]:
    """The values as YAML reads them in a list, each of a kind that JSON knows, too."""
    fix = "quote values with commas, brackets or colons: --grid 'data.train=\"a,b.jsonl\",c.jsonl'."
    try:
        read: Any = yaml.load(f"[{listed}]", Loader)
        values = cast(list[Any], read)
        json.dumps(values, allow_nan=False)
    except (ValueError, TypeError, yaml.YAMLError, RecursionError):
        raise _wrong("the values can't be read.", where, fix) from None
    if listed.strip().endswith(","):
        raise _wrong("a value is missing after the last comma.", where, fix)
    return tuple(values)


def _distinct(texts: Sequence[str]) -> list[str]:
    """The texts, with a number where two would be the same to a file system."""
    folded = [text.casefold() for text in texts]
    return [
        text if folded.count(fold) == 1 else f"{text}.{folded[:place].count(fold) + 1}"
        for place, (text, fold) in enumerate(zip(texts, folded, strict=True))
    ]


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    return f"{text[: longest - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _wrong(problem: str, where: str, fix: str) -> ConfigError:
    why = "every combination of the values is a run of its own."
    return ConfigError("PT301", problem, where=where, why=why, fix=fix)
