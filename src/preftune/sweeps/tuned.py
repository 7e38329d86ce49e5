"""A run's result beside the start that it is compared with."""

from typing import TYPE_CHECKING, cast

import torch

from preftune.models import LogProbModel, load_model
from preftune.models.adapter_files import put_weights, read_adapter
from preftune.models.load import WeightDtype
from preftune.models.location import Location, locate
from preftune.models.precision import choose_device
from preftune.models.shared_reference import SharedReference
from preftune.training.config import RunSettings
from preftune.training.policy import Policy, load_policy, weight_dtype
from preftune.training.save import saved_dtype
from preftune.training.shared import Material, Shared

if TYPE_CHECKING:
    from peft import PeftModel


class Results:
    """Loads results as their runs evaluated them last, and keeps what the next one shares.

    Args:
        shared: Of the runs.
        trust_remote_code: Run code that comes with the model.
    """

    def __init__(self, shared: Shared, *, trust_remote_code: bool = False) -> None:
        self._shared, self._trust_remote_code = shared, trust_remote_code
        self._start: tuple[str, Policy] | None = None

    def load(self, settings: RunSettings, material: Material) -> tuple[LogProbModel, Policy]:
        """The tuned model, and its start as a policy.

        An adapter stays beside the weights that it was trained on, in 4 bits if they were: merged
        into bfloat16 weights, small updates would be rounded away. The start is then the same model
        without it. The models are good until the next call.
        """
        place = locate(str(settings.out))
        if place.is_adapter:
            return self._beside(settings, place)
        self._shared.forget_policy()
        start = self._start_of(settings)
        model = load_model(
            place.name,
            dtype=_dtype(settings, start, material),
            trust_remote_code=self._trust_remote_code,
        )
        return LogProbModel(model).to(choose_device()), start

    def _beside(self, settings: RunSettings, place: Location) -> tuple[LogProbModel, Policy]:
        self._start = None
        policy = self._shared.policy(_plain(settings))
        put_weights(cast("PeftModel", policy.model.model), read_adapter(place))
        start = SharedReference(policy.model, moving=False)
        return policy.model, Policy(start, policy.start, policy.precision)

    def _start_of(self, settings: RunSettings) -> Policy:
        key = f"{settings.model} {settings.precision} {settings.weights}"
        if self._start is None or self._start[0] != key:
            self._start = None  # freed before the next is loaded
            plain = _plain(settings).model_copy(update={"lora": None})
            policy = load_policy(plain, trust_remote_code=self._trust_remote_code)
            self._start = (key, policy)
        return self._start[1]


def _plain(settings: RunSettings) -> RunSettings:
    """Without what matters in training only: more runs then share their frozen weights."""
    optimizer = settings.optimizer.model_copy(update={"in_backward": False})
    idle = {"checkpoint_activations": False, "compile_layers": False, "seed": 0}
    return settings.model_copy(update={**idle, "optimizer": optimizer})


def _dtype(settings: RunSettings, start: Policy, material: Material) -> WeightDtype:
    """Wide enough for what was saved: a float32 file has bits that bfloat16 weights have not."""
    if saved_dtype(material.origin) != torch.bfloat16:
        return "float32"
    return weight_dtype(settings, start.precision)
