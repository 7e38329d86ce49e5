"""Adapters as peft saves them: which model they belong to, and that model with them merged."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file  # pyright: ignore[reportUnknownVariableType]
from transformers import PreTrainedModel

from preftune.errors import ConfigError
from preftune.models.adapter_settings import adapter_settings
from preftune.models.adapters import TRAINED, merge
from preftune.models.location import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    Location,
    as_path,
    first_line,
    locate,
    unusable,
)
from preftune.models.quiet import quiet

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """An adapter's place, and the model that it was trained on."""

    place: Location
    base: Location
    config: "LoraConfig"


def read_adapter(place: Location) -> Adapter:
    """What an adapter's configuration says.

    The model below it is looked for at the path it names, as it is or from the adapter's folder,
    and else on the hub.

    Raises:
        ConfigError: PT400, where it can't be used or its model can't be found.
    """
    raw = _settings(place)
    config = adapter_settings(place, raw)
    return Adapter(place, _base_of(place, raw), config)


def merged(model: PreTrainedModel, adapter: Adapter) -> PreTrainedModel:
    """The model with the adapter's weights added to its own, in place, as `merge` does.

    Raises:
        ConfigError: PT400, where the weights are damaged or not this model's.
    """
    import peft

    with _fitting(adapter):
        weights = load_file(adapter.place.fetch(ADAPTER_WEIGHTS))
        sizes = [size for one in weights.values() for size in one.shape]
        _require_ranks(adapter, max(sizes, default=0))
        with quiet():
            adapted = cast(peft.PeftModel, peft.get_peft_model(model, adapter.config))
    put_weights(adapted, adapter)
    with _fitting(adapter):
        return merge(adapted)


def put_weights(adapted: "PeftModel", adapter: Adapter) -> None:
    """Give a model that has such adapters the weights of this one, in place.

    Raises:
        ConfigError: as `merged`.
    """
    import peft

    name = adapter.place.name
    with _fitting(adapter):
        weights = load_file(adapter.place.fetch(ADAPTER_WEIGHTS))
        with quiet():
            found = cast(Any, peft.set_peft_model_state_dict(adapted, weights))
        missing = [key for key in found.missing_keys if f".{TRAINED}" in key]
        if missing or found.unexpected_keys:
            first = (missing or found.unexpected_keys)[0]
            problem = f"the adapter's weights are not those that its settings ask for: {first}."
            raise unusable(name, problem, "save the adapter again.")


@contextmanager
def _fitting(adapter: Adapter) -> Generator[None]:
    """Turn what peft and safetensors raise into what a user can do about it."""
    name = adapter.place.name
    try:
        yield
    except SafetensorError as error:
        problem = f"the adapter's weights are damaged: {first_line(error)}"
        raise unusable(name, problem, "save the adapter again.") from error
    except (OSError, ValueError, RuntimeError, LookupError, AttributeError, TypeError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        problem = f"the adapter does not fit {adapter.base.name}: {first_line(error)}"
        raise unusable(name, problem, "name the adapter's own model in its settings.") from error


def _require_ranks(adapter: Adapter, largest: int) -> None:
    """Before memory is taken for what only the settings ask for."""
    patterns = cast(dict[str, int], adapter.config.rank_pattern or {})
    asked = max([adapter.config.r, *patterns.values()])
    if asked > largest:
        problem = f"its settings ask for a rank of {asked:,}, its weights are of {largest:,}"
        raise ValueError(problem)


def _settings(place: Location) -> dict[str, Any]:
    try:
        raw: Any = json.loads(place.fetch(ADAPTER_CONFIG).read_text(encoding="utf-8"))
        if not isinstance(raw, dict):
            raise ValueError("not a mapping")
    except (OSError, ValueError, RecursionError) as error:
        problem = f"{ADAPTER_CONFIG} can't be read: {first_line(error)}"
        raise unusable(place.name, problem, "save the adapter again.") from error
    return cast(dict[str, Any], raw)


def _base_of(place: Location, raw: dict[str, Any]) -> Location:
    name: Any = raw.get("base_model_name_or_path")
    fix = f"name it as base_model_name_or_path in {ADAPTER_CONFIG}."
    if not isinstance(name, str) or not name.strip():
        raise unusable(place.name, "the adapter does not say which model it belongs to.", fix)
    if raw.get("revision") not in (None, "main"):
        problem = f"the adapter belongs to {name} of the revision {raw['revision']}."
        raise unusable(place.name, problem, f"download that into a folder, and {fix}")
    try:
        beside = as_path(str(Path(place.name) / name))
        there = not as_path(name).is_dir() and beside.is_dir()
        base = locate(str(beside) if there else name)
        base.require_model()
    except ConfigError as error:
        problem = f"the model below the adapter, {name[:200]}, can't be used: {error.problem}"
        raise unusable(place.name, problem, f"bring it back, or {fix}") from error
    if base.is_adapter:
        problem = f"the model below the adapter, {name}, is an adapter itself."
        raise unusable(place.name, problem, "merge that one first.")
    return base
