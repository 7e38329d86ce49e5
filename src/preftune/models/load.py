"""Models and tokenizers from a folder or the hub: safetensors only, none of their own code."""

from typing import Any, Literal, cast

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from preftune.errors import ConfigError
from preftune.models.adapter_files import Adapter, merged, read_adapter
from preftune.models.location import Location, first_line, locate, unusable, without_tokenizer
from preftune.models.quantized import (
    in_four_bits,
    keep_differentiable,
    sum_in_four_bits,
    unsupported,
)
from preftune.models.quiet import quiet

WeightDtype = Literal["float32", "bfloat16"]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
AGAIN = "download or save the model again."


def load_model(
    name: str,
    *,
    dtype: WeightDtype | None = None,
    quantize: Literal["nf4"] | None = None,
    trust_remote_code: bool = False,
) -> PreTrainedModel:
    """A causal language model, ready to be scored and trained.

    Args:
        name: A folder or a hub name: of a model, or of a LoRA adapter, which is added to the model
            that it was trained on (each sum in float32, rounded once).
        dtype: Of the weights in memory; none: as they are stored.
        quantize: Keep the weights of the layers in 4 bits, frozen; `dtype` is that of the rest and
            of what is computed. Needs the extra `qlora`. Not for adapters.
        trust_remote_code: Run code that comes with the model. Only ever set by the user, who named
            this model: code of a model that an adapter names is never run.

    Returns:
        The model without dropout and without a generation cache, in evaluation mode.

    Raises:
        ConfigError: PT400 missing or damaged, PT402 pickles, PT403 needs code of its own, PT404 not
            a causal language model.
    """
    place = locate(name)
    place.require_model()
    if place.is_adapter:
        if quantize is not None:
            raise sum_in_four_bits(place.name)
        model = _read_with_adapter(place, dtype)
    else:
        model = _read(place, dtype, trust_remote_code, quantize)
    model.config.use_cache = False
    remove_dropout(model)
    return model.eval()


def load_config(
    name: str, *, needs_weights: bool = True, trust_remote_code: bool = False
) -> PreTrainedConfig:
    """The configuration of the model `name`, without its weights.

    Args:
        name: As of `load_model`.
        needs_weights: Refuse a place that holds no weights.
        trust_remote_code: Run code that comes with the model.

    Raises:
        ConfigError: as `load_model`.
    """
    place = locate(name)
    if needs_weights or "config.json" not in place.files:
        place.require_model()
    with quiet():
        if place.is_adapter:
            return _read_config_below(read_adapter(place))
        return _read_config(place, trust_remote_code)


def load_tokenizer(name: str, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of the model `name`.

    Raises:
        ConfigError: PT400 no such place, PT401 no tokenizer there, PT403 needs code of its own.
    """
    place = locate(name)
    below = place.is_adapter and not place.has_tokenizer
    if below:  # then it is that of the model below
        place, trust_remote_code = read_adapter(place).base, False
    place.require_tokenizer()
    with quiet():
        try:
            tokenizers = cast(Any, AutoTokenizer)
            found = tokenizers.from_pretrained(place.name, trust_remote_code=trust_remote_code)
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            if "trust_remote_code" in str(error):
                raise _needs_code(place, below=below) from error
            problem = f"the tokenizer can't be read: {first_line(error)}"
            raise without_tokenizer(place.name, problem) from error
        # The tokenizers library raises plain `Exception` for a damaged tokenizer.json.
        except Exception as error:
            problem = f"the tokenizer is damaged: {first_line(error)}"
            raise without_tokenizer(place.name, problem) from error
    return cast(PreTrainedTokenizerBase, found)


def remove_dropout(model: PreTrainedModel) -> None:
    """Set every dropout to 0, in modules and configuration.

    Log-ratios compare policy and reference token by token: with dropout both would be noise, and
    the loss at step 0 not ln 2.
    """
    configs: set[int] = set()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        _zero_dropouts(vars(module))
        config = vars(module).get("config")
        if isinstance(config, PreTrainedConfig) and id(config) not in configs:
            configs.add(id(config))
            _zero_dropouts(vars(config))


def _zero_dropouts(settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        if isinstance(value, float) and "drop" in name:
            settings[name] = 0.0


def _read_config(place: Location, trust_remote_code: bool) -> PreTrainedConfig:
    try:
        raw, _ = PreTrainedConfig.get_config_dict(place.name)
        config = cast(
            PreTrainedConfig,
            AutoConfig.from_pretrained(place.name, trust_remote_code=trust_remote_code),
        )
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        if "trust_remote_code" in str(error):
            raise _needs_code(place) from error
        problem = f"config.json can't be used: {first_line(error)}"
        raise unusable(place.name, problem, AGAIN) from error
    remote = "AutoModelForCausalLM" in (raw.get("auto_map") or {})
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING and not remote:
        raise _not_causal(place, f"{config.model_type} models don't predict text left to right.")
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING and not trust_remote_code:
        raise _needs_code(place)
    return config


def _read_config_below(adapter: Adapter) -> PreTrainedConfig:
    """The user trusts the adapter that he named, and not whatever model that names.

    Without the map nobody finds the code, with or without the flag.
    """
    try:
        config = _read_config(adapter.base, trust_remote_code=False)
    except ConfigError as error:
        if error.code != "PT403":
            raise
        raise _needs_code(adapter.base, below=True) from error
    vars(config).pop("auto_map", None)
    return config


def _read(
    place: Location,
    dtype: WeightDtype | None,
    trust_remote_code: bool,
    quantize: Literal["nf4"] | None = None,
) -> PreTrainedModel:
    with quiet():
        config = _read_config(place, trust_remote_code)
        if quantize is None:
            return _read_weights(place, config, dtype, trust_remote_code)
        settings = in_four_bits(torch.float32 if dtype is None else DTYPES[dtype])
        model = _read_weights(place, config, dtype, trust_remote_code, settings)
        keep_differentiable(model)
        return model


def _read_with_adapter(place: Location, dtype: WeightDtype | None) -> PreTrainedModel:
    """The model below the adapter as it is stored or wider, added to, and only then narrowed."""
    adapter = read_adapter(place)
    with quiet():
        config = _read_config_below(adapter)
        stored = None if dtype == "bfloat16" else dtype
        model = _read_weights(adapter.base, config, stored, trust_remote_code=False)
    whole = merged(model, adapter)
    if dtype is not None and whole.dtype != DTYPES[dtype]:
        for parameter in whole.parameters():
            parameter.data = parameter.data.to(DTYPES[dtype])
    return whole.requires_grad_(True)


def _read_weights(
    place: Location,
    config: PreTrainedConfig,
    dtype: str | None,
    trust_remote_code: bool,
    quantization: dict[str, Any] | None = None,
) -> PreTrainedModel:
    try:
        model, info = cast(Any, AutoModelForCausalLM).from_pretrained(
            place.name,
            config=config,
            dtype="auto" if dtype is None else DTYPES[dtype],
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            **(quantization or {}),
        )
    except ImportError as error:
        if quantization is None:
            raise
        raise unsupported(error) from error
    except SafetensorError as error:
        problem = f"the weights are damaged: {first_line(error)}"
        raise unusable(place.name, problem, AGAIN) from error
    except (OSError, ValueError, RuntimeError, LookupError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        problem = f"the weights can't be loaded: {first_line(error)}"
        if "mismatched_sizes" in problem:
            problem = "the weights have other shapes than config.json says."
        raise unusable(place.name, problem, AGAIN) from error
    _require_all(place, sorted(cast(set[str], info["missing_keys"])))
    return cast(PreTrainedModel, model)


def _require_all(place: Location, missing: list[str]) -> None:
    """What a file lacks, transformers fills with random numbers."""
    if not missing:
        return
    named = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
    problem = f"the weights lack {named}; they would be random."
    if all(name.startswith(("lm_head", "embed_out", "output")) for name in missing):
        raise _not_causal(place, problem)
    raise unusable(place.name, problem, AGAIN)


def _needs_code(place: Location, *, below: bool = False) -> ConfigError:
    fix = "read it, and if you trust it, add --trust-remote-code."
    if below:
        fix = (
            "--trust-remote-code is for a model that you name: name this one with it, or merge the "
            "adapter elsewhere."
        )
    return ConfigError(
        "PT403",
        "the model runs only with code that comes with it.",
        where=place.name,
        why="that code could do anything on this machine.",
        fix=fix,
    )


def _not_causal(place: Location, problem: str) -> ConfigError:
    return ConfigError(
        "PT404",
        problem,
        where=place.name,
        why="preference tuning needs log p(response | prompt) from a causal language model.",
        fix="name a causal language model.",
    )
