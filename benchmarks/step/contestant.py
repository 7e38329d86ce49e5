"""Who is measured: preftune or TRL, under which settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Kind = Literal["preftune", "trl", "rung"]
Order = Literal["random", "length"]

RANK = 16
LEARNING_RATE = 1e-5
"""Large enough that the losses of later steps say whether both trained on the same."""

MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(2**40), "MALLOC_TRIM_THRESHOLD_": str(2**40)}
"""glibc keeps all memory that was ever used, instead of giving large blocks back."""


@dataclass(frozen=True)
class Contestant:
    """One way of training on the pairs."""

    name: str
    kind: Kind
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of a run file for preftune, of a `DPOConfig` for TRL."""
    order: Order = "random"
    rung: str = ""
    """Which rung of the ladder (`ladder.py`)."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    def under(self, environment: Mapping[str, str], note: str) -> "Contestant":
        """The same in another environment."""
        return replace(self, name=f"{self.name}, {note}", environment=environment)


@dataclass(frozen=True)
class Conditions:
    """What all contestants of a comparison have in common."""

    model: str
    """Folder."""
    dtype: Literal["float32", "bfloat16"]
    threads: int
    lora: bool = False
    device: Literal["cpu", "cuda"] = "cpu"


PREFTUNE = Contestant("preftune", "preftune")
DEFAULTS = Contestant("TRL, defaults", "trl")
BEST = Contestant(
    "TRL, no checkpointing, precomputed reference",
    "trl",
    {"gradient_checkpointing": False, "precompute_ref_log_probs": True},
)
SORTED = replace(BEST, name=f"{BEST.name}, sorted by length", order="length")
RIVALS = (DEFAULTS, BEST, SORTED)


def on_gpu() -> list[Contestant]:
    """TRL's best settings with what is installed beside it, on CUDA only."""
    from importlib.util import find_spec

    found = [SORTED]
    model: dict[str, Any] = {"dtype": "bfloat16"}
    if find_spec("flash_attn"):
        flash = {"model_init_kwargs": {**model, "attn_implementation": "flash_attention_2"}}
        found.append(_with(SORTED, "FlashAttention", flash))
    if find_spec("liger_kernel"):
        found.append(_with(found[-1], "Liger", {"use_liger_kernel": True}))
    return found


def _with(contestant: Contestant, note: str, settings: Mapping[str, Any]) -> Contestant:
    return replace(
        contestant,
        name=f"{contestant.name}, {note}",
        settings={**contestant.settings, **settings},
    )
