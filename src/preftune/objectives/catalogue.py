"""Every objective: what it needs, what it is divided by, its settings, its source.

Importing this file imports no torch, so a run file is checked in milliseconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Final, Literal, cast

from preftune.errors import ConfigError
from preftune.objectives.settings import BETA, LABEL_SMOOTHING, Setting

if TYPE_CHECKING:
    from torch import Tensor

    from preftune.objectives.logprobs import LogProbs

Loss = Callable[..., "Tensor"]
"""`(logps, **settings)` to one value for each relation or response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What an objective declares. The rest of preftune asks here, never by name."""

    name: str
    loss: str
    """`module:function`, resolved when it is first used: the function needs torch."""
    data: Literal["pairs", "demonstrations"]
    reference: Literal["none", "logps", "distribution", "moving"]
    """`logps`: the cache serves it. `distribution` and `moving`: the model is kept live."""
    scope: Literal["example", "step"] = "example"
    """`step`: needs statistics over the whole optimiser step."""
    denominator: Literal["pairs", "responses", "tokens", "prompts"]
    """What the sum of the losses is divided by, counted over the whole optimiser step."""
    settings: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    """Its keyword arguments; tests hold them to the function's signature."""
    learning_rate: float
    """Default for full fine-tuning."""
    learning_rate_range: tuple[float, float]
    """Published for full fine-tuning."""
    summary: str
    formula: str
    paper: str


CATALOGUE: Final[Mapping[str, Objective]] = {
    "dpo": Objective(
        name="dpo",
        loss="preftune.objectives.pairwise:dpo",
        data="pairs",
        reference="logps",
        denominator="pairs",
        settings={
            "beta": Setting(
                0.1,
                BETA,
                "tie to the reference, per nat; larger holds nearer; 0.01 to 0.5 is usual",
            ),
            "label_smoothing": Setting(
                0.0, LABEL_SMOOTHING, "assumed share of flipped labels (cDPO); 0.1 where noisy"
            ),
        },
        learning_rate=1e-6,
        learning_rate_range=(5e-7, 1e-6),
        summary="Direct Preference Optimization: classify pairs by the policy's own reward",
        formula="q·softplus(−βh) + (1−q)·softplus(βh), q = p(1−ε) + (1−p)ε",
        paper="Rafailov et al. 2023, arXiv:2305.18290",
    ),
    "sft": Objective(
        name="sft",
        loss="preftune.objectives.likelihood:sft",
        data="demonstrations",
        reference="none",
        denominator="tokens",
        learning_rate=2e-5,
        learning_rate_range=(2e-6, 2e-5),
        summary="supervised fine-tuning: make the responses likely",
        formula="−Σₜ log π(yₜ | x, y₍<t₎)",
        paper="Ouyang et al. 2022, arXiv:2203.02155, section 3.5",
    ),
}


@dataclass(frozen=True, slots=True)
class BoundObjective:
    """An objective with its settings, ready to be called. Made by `bind`."""

    objective: Objective
    settings: Mapping[str, float]
    """All of them, defaults included."""

    @property
    def beta(self) -> float | None:
        """Its beta, where it has one: for implicit rewards."""
        return self.settings.get("beta")

    def __call__(self, logps: "LogProbs") -> "Tensor":
        """The loss, unreduced: one value for each relation or response."""
        loss = cast(Loss, resolve_name(self.objective.loss))
        return loss(logps, **self.settings)


def bind(name: str, settings: Mapping[str, object], *, where: str = "objective") -> BoundObjective:
    """Check an objective's name and settings, without loading anything.

    Args:
        name: Key of `CATALOGUE`.
        settings: What the user set; the rest takes its default.
        where: Key of the run file, for messages.

    Raises:
        ConfigError: PT303 for an unknown objective or a setting that it does not use, PT301 for
            a value of the wrong kind or out of range.

    Example:
        >>> bind("dpo", {"beta": 0.5}).settings
        {'beta': 0.5, 'label_smoothing': 0.0}
    """
    if name not in CATALOGUE:
        raise ConfigError(
            "PT303",
            f"there is no objective `{name}`.",
            why="the objective decides which data is read and what is learnt from it.",
            fix=f"{_did_you_mean(name, CATALOGUE)}the objectives are: {', '.join(CATALOGUE)}.",
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
    return BoundObjective(objective, values)


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
    else:
        return float(value)
    raise ConfigError(
        "PT301",
        problem,
        why=f"it is the {setting.summary}.",
        fix=f"give a number in {setting.interval}; the default is {setting.default:g}.",
        where=where,
    )


def _did_you_mean(name: str, known: Mapping[str, object]) -> str:
    close = get_close_matches(name.lower(), known, n=1)
    return f"did you mean `{close[0]}`? " if close else ""
