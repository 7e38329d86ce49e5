"""What a sweep did and found, as records and as JSON. Imports no torch."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from preftune.sweeps.choice import Choice, Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one run of a sweep ended."""

    name: str
    setting: str
    """Its name without the seed: runs that share it are repetitions of each other."""
    values: dict[str, Any]
    out: str
    state: Literal["finished", "stopped", "failed", "waiting"] = "waiting"
    steps: int = 0
    num_steps: int = 0
    held_out: dict[str, Any] = field(default_factory=dict[str, Any])
    """The held-out figures of its last evaluation."""
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """What a sweep did and found."""

    out: str
    runs: list[Outcome]
    figures: dict[str, Figures] = field(default_factory=dict[str, Figures])
    """Setting → figures on its held-out pairs, where its runs finished."""
    choice: Choice | None = None
    """None where nothing could be compared."""
    halved: bool = False
    """Half of the held-out prompts decided who went on; accuracy, margins, displacement and choice
    are of the other half."""
    plot: str | None = None
    interrupted: int | None = None
    """The signal that asked to stop, if one did; the same call goes on."""


def to_json(result: SweepResult) -> dict[str, Any]:
    """A sweep as plain JSON values."""
    return {"version": 1, **asdict(result)}
