"""The settings of an adapter that somebody else wrote: what is taken from them, and what is not.

peft follows settings wherever they lead: some name modules to import, some ask for a decomposition
of every weight, some are regular expressions. What an adapter is takes only a few of them.
"""

import re
from typing import TYPE_CHECKING, Any, cast

from preftune.errors import ConfigError
from preftune.models.location import ADAPTER_CONFIG, Location, first_line, unusable

if TYPE_CHECKING:
    from peft import LoraConfig

ELSEWHERE = "merge it into its model with the tool that made it, and name the result."

PLAIN = {
    "bias",
    "fan_in_fan_out",
    "layers_to_transform",
    "lora_alpha",
    "lora_bias",
    "r",
    "use_dora",
    "use_rslora",
}
"""Numbers and switches."""
NAMES = {
    "exclude_modules",
    "layers_pattern",
    "modules_to_save",
    "target_modules",
    "target_parameters",
}
"""Lists of names of layers."""
PATTERNS = {"alpha_pattern", "rank_pattern"}
"""Numbers by name, or by a name after anything, as peft writes them."""
OF_TRAINING = {
    "auto_mapping",
    "base_model_name_or_path",
    "eva_config",
    "inference_mode",
    "init_lora_weights",
    "lora_dropout",
    "peft_type",
    "peft_version",
    "revision",
    "task_type",
}
"""Read elsewhere, or without effect on an adapter that is trained."""
STARTS = [True, False, None, "gaussian", "orthogonal", "eva"]
"""Values of `init_lora_weights` that leave the weights of the model below as they are."""

_NAME = re.compile(r"[\w.-]+")
_PATTERN = re.compile(r"(\^|\.\*\\\.)?(?:[\w-]|\\?\.)+\$?")


def adapter_settings(place: Location, raw: dict[str, Any]) -> "LoraConfig":
    """The configuration, for peft, of the adapter at `place`, from the fields that say what it is.

    Args:
        place: Where it lies.
        raw: What its configuration file holds.

    Raises:
        ConfigError: PT400, for another kind of adapter, and for settings that change it in a way
            that is not followed here: each is named.
    """
    from peft import LoraConfig

    if raw.get("peft_type") != "LORA" or raw.get("task_type") not in (None, "CAUSAL_LM"):
        kind = f"{raw.get('peft_type')} for {raw.get('task_type')}"
        raise unusable(place.name, f"this adapter is of another kind ({kind}).", ELSEWHERE)
    _refuse_others(place, raw, cast(dict[str, Any], LoraConfig().to_dict()))
    for name in sorted(NAMES & raw.keys()):
        _require_names(place, name, raw[name])
    for name in sorted(PATTERNS & raw.keys()):
        _require_patterns(place, name, raw[name] or {})
    taken = PLAIN | NAMES | PATTERNS | {"task_type"}
    try:
        return LoraConfig(**{name: raw[name] for name in taken & raw.keys()})
    except (TypeError, ValueError) as error:
        problem = f"{ADAPTER_CONFIG} can't be used: {first_line(error)}"
        raise unusable(place.name, problem, "save the adapter again.") from error


def _refuse_others(place: Location, raw: dict[str, Any], defaults: dict[str, Any]) -> None:
    """What is neither taken nor without effect must be off."""
    if raw.get("init_lora_weights", True) not in STARTS:
        problem = f"the adapter was trained on changed weights: {raw['init_lora_weights']}."
        fix = "save it as a plain LoRA adapter (peft: path_initial_model_for_weight_conversion)."
        raise unusable(place.name, problem, fix)
    others = raw.keys() - PLAIN - NAMES - PATTERNS - OF_TRAINING
    on = sorted(name for name in others if raw[name] and raw[name] != defaults.get(name))
    if on:
        problem = f"the adapter has settings that are not followed here: {', '.join(on)}."
        raise unusable(place.name, problem, ELSEWHERE)


def _require_names(place: Location, setting: str, value: Any) -> None:
    if value is None or (setting == "target_modules" and value == "all-linear"):
        return
    names = [value] if setting == "layers_pattern" and isinstance(value, str) else value
    if isinstance(names, str):
        raise _expression(place, setting)
    whole = isinstance(names, list) and all(
        isinstance(name, str) and _NAME.fullmatch(name) for name in cast(list[Any], names)
    )
    if not whole:
        raise _no_names(place, setting)


def _require_patterns(place: Location, setting: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise _no_names(place, setting)
    if not all(_PATTERN.fullmatch(key) for key in cast(dict[str, Any], value)):
        raise _expression(place, setting)


def _no_names(place: Location, setting: str) -> ConfigError:
    problem = f"{setting} in {ADAPTER_CONFIG} holds no names of layers."
    return unusable(place.name, problem, "save the adapter again.")


def _expression(place: Location, setting: str) -> ConfigError:
    problem = f"{setting} in {ADAPTER_CONFIG} is a regular expression, which is not followed."
    fix = f"write the names of the layers there, as a list; or {ELSEWHERE}"
    return unusable(place.name, problem, fix)
