"""Objectives with their settings, ready to be called: what a run minimises."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, cast

from preftune.objectives.declaration import Data, Objective, Reference

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
