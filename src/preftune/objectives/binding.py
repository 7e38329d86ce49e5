"""From the names and settings in a run file to objectives that can be called."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, cast

from preftune.errors import ConfigError
from preftune.objectives.catalogue import CATALOGUE
from preftune.objectives.declaration import Data, Objective, Reference
from preftune.objectives.settings import POSITIVE, Setting

if TYPE_CHECKING:
    from torch import Tensor

    from preftune.objectives.logprobs import LogProbs
    from preftune.objectives.metrics import Figures

Loss = Callable[..., "Tensor"]
State = Mapping[str, "Tensor"]
"""What an objective keeps from step to step, by the names of its loss's arguments."""


@dataclass(frozen=True, slots=True)
class Part:
    """One objective with its settings, and what it weighs in the sum."""

    objective: Objective
    settings: Mapping[str, float]
    """All of them, defaults included."""
    weight: float = 1.0

    def __call__(self, logps: "LogProbs", state: State | None = None) -> "Tensor":
        """The loss, unreduced: one value for each unit, times what the unit counts."""
        loss = cast(Loss, resolve_name(self.objective.loss))
        values = loss(logps, **self.settings, **(state or {}))
        weights = self._unit_weights(logps)
        return values if weights is None else values * weights

    def reward(self, logps: "LogProbs") -> "Tensor":
        """(response,) the implicit reward that this objective compares."""
        return resolve_name(self.objective.reward)(logps, self.settings)

    def next_state(self, logps: "LogProbs", state: State) -> State:
        """The state with what a whole optimiser step adds to it."""
        if not self.objective.running:
            return state
        return resolve_name(self.objective.running)(logps, state, self.settings)

    def _unit_weights(self, logps: "LogProbs") -> "Tensor | None":
        match self.objective.unit:
            case "relation":
                return logps.weight
            case "group":
                return logps.group_weight
            case "response":
                weights = logps.group_weight
                return None if weights is None else weights[logps.group]


@dataclass(frozen=True, slots=True)
class BoundObjective:
    """What a run minimises: one objective, or a weighted sum of several. Made by `bind`."""

    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        """`dpo`, or `dpo+sft`."""
        return "+".join(part.objective.name for part in self.parts)

    @property
    def data(self) -> tuple[Data, ...]:
        """The kinds of data that the parts take."""
        return tuple(dict.fromkeys(part.objective.data for part in self.parts))

    @property
    def reference(self) -> Reference:
        """The most that a part needs."""
        kinds = {part.objective.reference for part in self.parts}
        order: tuple[Reference, ...] = ("distribution", "logps", "none")
        return next(kind for kind in order if kind in kinds)

    @property
    def vocabulary(self) -> frozenset[str]:
        """Statistics over the vocabulary that some part needs."""
        return frozenset(name for part in self.parts for name in part.objective.vocabulary)

    @property
    def whole_step(self) -> bool:
        """Whether some part needs statistics over the whole optimiser step."""
        return any(part.objective.scope == "step" for part in self.parts)

    @property
    def mismatched(self) -> bool:
        """Whether some part needs prompts with the responses of others."""
        return any(part.objective.mismatched for part in self.parts)

    @property
    def beta(self) -> float | None:
        """The beta of the first part that has one."""
        betas = (part.settings["beta"] for part in self.parts if "beta" in part.settings)
        return next(betas, None)

    @property
    def main(self) -> Part:
        """The part that is reported on: the first that learns from judgements, if one does."""
        judged = (part for part in self.parts if part.objective.data != "demonstrations")
        return next(judged, self.parts[0])

    @property
    def figures(self) -> "Figures":
        """What the metric log says, whatever a micro-batch happens to hold."""
        kinds = {part.objective.data for part in self.parts}
        if kinds == {"demonstrations"}:
            return "responses"
        return "thumbs" if kinds <= {"thumbs", "demonstrations"} else "pairs"

    @property
    def learning_rate(self) -> float:
        """Default for full fine-tuning: the main part's."""
        return self.main.objective.learning_rate


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

OTHER_NAMES: Mapping[str, str] = {
    "sigmoid": "dpo",
    "cdpo": "dpo with label_smoothing",
    "conservative_dpo": "dpo with label_smoothing",
    "ipo": "ipo_sum (over whole responses, as in the paper) or ipo_mean (per token, as in TRL)",
    "rdpo": "robust_dpo (flipped labels) or len_dpo (length-regularised)",
    "r_dpo": "robust_dpo (flipped labels) or len_dpo (length-regularised)",
    "robust": "robust_dpo",
    "rpo": "dpo_nll",
    "irpo": "dpo_nll",
    "sigmoid_norm": "dpo_norm",
    "exo_pair": "exo",
    "nca_pair": "nca",
    "bco_pair": "bco, with --convert thumbs",
    "apo": "apo_zero or apo_down",
    "sppo": "sppo_hard",
    "aot_pair": "aot (paired) or aot_unpaired; older tools say aot_pair for the unpaired one",
    "tdpo": "tdpo1 or tdpo2",
    "tr_dpo": "dpo with reference.every",
    "trdpo": "dpo with reference.every",
    "fdpo": "dpo_forward_kl, dpo_jensen_shannon or dpo_alpha_divergence",
    "f_dpo": "dpo_forward_kl, dpo_jensen_shannon or dpo_alpha_divergence",
    "lddpo": "ld_dpo",
    "smaug": "dpop",
    "pl": "plackett_luce",
    "pl_dpo": "plackett_luce",
    "mpo": "a mixture of dpo, bco and sft",
}
"""Names that others use, several of them for more than one thing."""

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
