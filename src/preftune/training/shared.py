"""What several runs of one process have in common: read, checked and rendered once."""

from dataclasses import dataclass

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from preftune.models import load_config, load_tokenizer
from preftune.models.limits import token_limit
from preftune.objectives.bound import BoundObjective
from preftune.records import Watch
from preftune.training.config import RunSettings
from preftune.training.policy import Policy, load_policy
from preftune.training.prepare import Prepared, prepare


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What a run needs before the weights: none of it is ever changed."""

    origin: PreTrainedConfig
    """Configuration of the start."""
    tokenizer: PreTrainedTokenizerBase
    data: Prepared


class Shared:
    """Keeps the material of earlier runs for those that read the same data in the same way.

    Args:
        trust_remote_code: Run code that comes with the models.
    """

    def __init__(self, *, trust_remote_code: bool = False) -> None:
        self._trust_remote_code = trust_remote_code
        self._known: dict[str, Material] = {}

    def policy(self, settings: RunSettings) -> Policy:
        """The start of a run, ready to be trained.

        Raises:
            ConfigError: as `load_policy`.
        """
        return load_policy(settings, trust_remote_code=self._trust_remote_code)

    def material(self, settings: RunSettings, objective: BoundObjective, watch: Watch) -> Material:
        """Configuration, tokenizer and data of a run.

        Raises:
            ConfigError, DataError: as `load_config`, `load_tokenizer` and `prepare`.
        """
        key = _decides_the_data(settings, objective)
        if key not in self._known:
            name, trust = settings.model, self._trust_remote_code
            origin = load_config(name, trust_remote_code=trust)
            tokenizer = load_tokenizer(name, trust_remote_code=trust)
            limit = token_limit(settings.rendering.max_tokens, origin)
            data = prepare(settings, objective, tokenizer, limit, watch)
            self._known[key] = Material(origin, tokenizer, data)
        return self._known[key]


def _decides_the_data(settings: RunSettings, objective: BoundObjective) -> str:
    """What the material depends on, and nothing else: objectives that take the same share it."""
    taken = [
        (part.data, part.margins, part.soft, part.weighted, part.mismatched, part.unit)
        for part in (part.objective for part in objective.parts)
    ]
    parts = (settings.model, settings.seed, settings.data, settings.rendering, taken)
    return "\n".join(map(repr, parts))
