"""The policy as a run starts it: loaded in its dtype, fingerprinted, made ready to be trained."""

from dataclasses import dataclass

from preftune.models import LogProbModel, load_model
from preftune.models.checkpointing import checkpoint_layers
from preftune.models.compiling import compile_layers
from preftune.models.load import WeightDtype
from preftune.models.precision import MatmulPrecision, choose_device, choose_precision
from preftune.models.reference import fingerprint
from preftune.training.config import RunSettings
from preftune.training.effects import not_wider
from preftune.training.lora import put_adapters


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """The model to train."""

    model: LogProbModel
    start: str
    """Fingerprint of the weights before the first step: what the reference's cache goes by."""
    precision: MatmulPrecision


def load_policy(settings: RunSettings, *, trust_remote_code: bool = False) -> Policy:
    """Load the start and make it a policy.

    Raises:
        ConfigError: as `load_model`.
    """
    precision = choose_precision(settings.precision)
    model = load_model(
        settings.model,
        dtype=weight_dtype(settings, precision),
        quantize=None if settings.lora is None else settings.lora.quantize,
        trust_remote_code=trust_remote_code,
    )
    start = fingerprint(model)
    policy = LogProbModel(put_adapters(model, settings)).to(choose_device())
    if settings.compile_layers:
        compile_layers(policy)
    if settings.checkpoint_activations is True:
        checkpoint_layers(policy.model)
    return Policy(policy, start, precision)


def weight_dtype(settings: RunSettings, precision: MatmulPrecision) -> WeightDtype:
    """In which dtype the weights are kept in memory.

    Raises:
        ConfigError: bfloat16 where the matmuls, as this machine chose them, are float32 (PT311).
    """
    if settings.weights == "bfloat16" and precision == "float32":
        raise not_wider()
    return precision if settings.weights == "auto" else settings.weights
