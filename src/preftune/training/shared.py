"""What several runs of one process have in common: read, checked and rendered once."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from preftune.models import load_config, load_tokenizer
from preftune.models.adapter_files import read_adapter
from preftune.models.adapters import has_adapters
from preftune.models.limits import token_limit
from preftune.models.location import locate
from preftune.models.shared_reference import forget_reference
from preftune.objectives.bound import BoundObjective
from preftune.records import Watch
from preftune.training.config import RunSettings
from preftune.training.policy import Policy, load_policy
from preftune.training.prepare import Prepared, prepare

if TYPE_CHECKING:
    from peft import PeftModel


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What a run needs before the weights: none of it is ever changed."""

    origin: PreTrainedConfig
    """Configuration of the start."""
    tokenizer: PreTrainedTokenizerBase
    data: Prepared


@dataclass(frozen=True, slots=True, eq=False)
class _Adapted:
    """A policy with adapters, and what those were before the first step."""

    key: str
    policy: Policy
    fresh: dict[str, Tensor]

    @classmethod
    def of(cls, key: str, policy: Policy) -> "_Adapted":
        """Remember the adapters as they are."""
        return cls(key, policy, {name: one.detach().clone() for name, one in _trained(policy)})

    @torch.no_grad()
    def again(self) -> Policy:
        """The policy as it was loaded, to the bit: nothing but the adapters ever changed."""
        forget_reference(cast("PeftModel", self.policy.model.model))
        for name, parameter in _trained(self.policy):
            parameter.copy_(self.fresh[name])
            parameter.grad = None
        return self.policy


class Shared:
    """Keeps the material of earlier runs for those that read the same data in the same way, and the
    frozen weights below adapters for those that start from the same.

    Args:
        trust_remote_code: Run code that comes with the models.
    """

    def __init__(self, *, trust_remote_code: bool = False) -> None:
        self._trust_remote_code = trust_remote_code
        self._known: dict[str, Material] = {}
        self._adapted: _Adapted | None = None

    def policy(self, settings: RunSettings) -> Policy:
        """The start of a run, ready to be trained; what an earlier run was given may be reused.

        Where every weight is trained, each run loads its own: a copy to restore from would take as
        much memory as the weights.

        Raises:
            ConfigError: as `load_policy`.
        """
        key = _decides_the_policy(settings)
        kept, self._adapted = self._adapted, None
        if kept is not None and kept.key == key and has_adapters(kept.policy.model.model):
            policy = kept.again()  # unless the earlier run merged its adapters
        else:
            kept = None  # free before the next is loaded
            policy = load_policy(settings, trust_remote_code=self._trust_remote_code)
            kept = None if settings.lora is None else _Adapted.of(key, policy)
        if not settings.optimizer.in_backward:  # that leaves hooks
            self._adapted = kept
        return policy

    def forget_policy(self) -> None:
        """Free the weights that were kept for the next run."""
        self._adapted = None

    def material(self, settings: RunSettings, objective: BoundObjective, watch: Watch) -> Material:
        """Configuration, tokenizer and data of a run.

        Raises:
            ConfigError, DataError: as `load_config`, `load_tokenizer` and `prepare`.
        """
        key = _decides_the_data(settings, objective)
        if key not in self._known:
            name, trust = settings.model, self._trust_remote_code
            place = locate(name)
            if place.is_adapter:
                watch.say(f"{name} is an adapter, of the model {read_adapter(place).base.name}.")
            origin = load_config(name, trust_remote_code=trust)
            tokenizer = load_tokenizer(name, trust_remote_code=trust)
            limit = token_limit(settings.rendering.max_tokens, origin)
            data = prepare(settings, objective, tokenizer, limit, watch)
            self._known[key] = Material(origin, tokenizer, data)
        return self._known[key]


def _trained(policy: Policy) -> list[tuple[str, nn.Parameter]]:
    return [(name, one) for name, one in policy.model.named_parameters() if one.requires_grad]


def _decides_the_policy(settings: RunSettings) -> str:
    """All settings but those that begin to matter after the start."""
    later = {"data", "objective", "reference", "rendering", "optimizer", "tokens_per_batch",
             "evaluate_every", "save_every", "out"}  # fmt: skip
    return settings.model_dump_json(exclude=later)


def _decides_the_data(settings: RunSettings, objective: BoundObjective) -> str:
    """What the material depends on, and nothing else: objectives that take the same share it."""
    taken = [
        (part.data, part.margins, part.soft, part.weighted, part.mismatched, part.unit)
        for part in (part.objective for part in objective.parts)
    ]
    parts = (settings.model, settings.seed, settings.data, settings.rendering, taken)
    return "\n".join(map(repr, parts))
