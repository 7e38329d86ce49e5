"""Run files as YAML: strict when read, with the origin of every value when written."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from preftune.errors import ConfigError

Origins = dict[str, str]
"""Dotted key → where its value came from: `run.yaml:12`, `--seed`, `default`."""


class Loader(yaml.SafeLoader):
    """YAML 1.1 reads `5e-7` as text and `2026-11-20` as a date; here a number and a text."""


Loader.yaml_implicit_resolvers = {
    first: [item for item in resolvers if not item[0].endswith((":float", ":timestamp"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.\d*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?|\d+[eE][-+]?\d+)$"),
    list("-+.0123456789"),
)


def read_yaml(path: Path) -> tuple[dict[str, Any], Origins]:
    """The tree of a YAML file and the line of each value. Duplicate keys and aliases are errors."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        events = cast(Iterator[object], yaml.parse(text, Loader))
        if any(isinstance(event, yaml.AliasEvent) for event in events):
            raise yaml.YAMLError("anchors and aliases are not used in run files")
        node = cast(yaml.Node | None, yaml.compose(text, Loader))
        origins: Origins = {}
        tree: Any = _build(node, "", path, origins) if node is not None else {}
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        problem = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(
            "PT304",
            f"the run file can't be read: {' '.join(str(problem).split())}.",
            where=str(path),
            why="a run file is the whole truth of a run.",
            fix="check the path and the YAML at that place.",
        ) from None
    if not isinstance(tree, dict):
        raise ConfigError(
            "PT304",
            "the run file is not a mapping of keys to values.",
            where=str(path),
            why="each setting is looked up by its key.",
            fix="write it as `model: …`, `data: …`, `objective: …`, `out: …`.",
        )
    return cast(dict[str, Any], tree), origins


def _build(node: yaml.Node, prefix: str, path: Path, origins: Origins) -> Any:
    if not isinstance(node, yaml.MappingNode):
        origins[prefix] = f"{path}:{node.start_mark.line + 1}"
        loader = Loader("")
        try:
            return cast(Any, loader).construct_object(node, deep=True)
        finally:
            loader.dispose()
    tree: dict[str, Any] = {}
    pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
    for key_node, value_node in pairs:
        key = str(key_node.value)
        if key in tree:
            line = key_node.start_mark.line + 1
            raise yaml.YAMLError(f"line {line}: the key {key!r} stands twice")
        tree[key] = _build(value_node, f"{prefix}.{key}" if prefix else key, path, origins)
    return tree


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted key → leaf value.

    >>> flatten({"a": {"b": 1}, "c": []})
    {'a.b': 1, 'c': []}
    """
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            leaves |= flatten(value, f"{prefix}{key}.")  # pyright: ignore[reportUnknownArgumentType]
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


def write_yaml(tree: Mapping[str, Any], origins: Origins) -> str:
    """The tree as YAML: every value, with its origin as a comment. Loads as a run file."""
    lines: list[str] = []
    _write(tree, "", origins, lines)
    return "\n".join(lines) + "\n"


def _write(tree: Mapping[str, Any], prefix: str, origins: Origins, lines: list[str]) -> None:
    indent = "  " * prefix.count(".")
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            lines.append(f"{indent}{key}:")
            _write(value, f"{prefix}{key}.", origins, lines)  # pyright: ignore[reportUnknownArgumentType]
        else:
            shown = yaml.safe_dump({key: value}, default_flow_style=False, width=10**6)
            shown = shown.rstrip("\n") if "\n" not in shown.rstrip("\n") else f"{key}: {value}"
            lines.append(f"{indent}{shown}  # {origins.get(prefix + key, 'default')}")
