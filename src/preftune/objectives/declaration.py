"""What an objective declares of itself. No torch: run files are checked in milliseconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from preftune.objectives.settings import Setting

Data = Literal["demonstrations", "pairs", "ties", "thumbs", "rankings", "scores"]
"""What it learns from: single responses; pairs; pairs of which some are ties; responses with a
thumb; several responses of a prompt in order (ties allowed); several with a rating each."""

Reference = Literal["none", "logps", "distribution"]
"""`none`; `logps` of the data's tokens, which the cache serves; the whole `distribution` over the
vocabulary, for which the reference is kept live beside the policy. A run may let it move."""

Unit = Literal["relation", "response", "group"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """Everything that the rest of preftune needs to know of a loss: it asks here, never by name."""

    name: str
    loss: str
    """`module:function`, imported when it is first used. `(logps, **settings)` to one value for
    each unit, unreduced."""
    reward: str
    """`module:function`, `(logps, settings)` to the implicit reward (response,) of which accuracy
    and reward margins are reported: the quantity that the loss compares, or none of its own."""
    data: Data
    unit: Unit = "relation"
    """What the loss has one value for: a judgement, a response or a prompt with its responses."""
    reference: Reference = "logps"
    scope: Literal["example", "step"] = "example"
    """`step`: it needs statistics over the whole optimiser step."""
    denominator: Literal["pairs", "responses", "tokens", "prompts"] = "pairs"
    """What the sum of the losses is divided by, counted over the whole optimiser step and all
    processes. Weighted data counts by its weights."""
    vocabulary: tuple[Literal["collision", "kl"], ...] = ()
    """Statistics over the whole vocabulary that are made together with the log-probs."""
    running: str = ""
    """`module:function`, `(logps, state, settings)` to the state, a tensor for each keyword that
    the loss takes beside its settings. Kept from step to step and in the checkpoint."""
    mismatched: bool = False
    """It needs every prompt also with the response of another one (KTO's estimate of the KL)."""
    margins: Literal["no", "any", "positive"] = "no"
    """Whether it needs to know how much better the chosen response was judged, and which it can
    learn from."""
    soft: bool = True
    """It can learn from judgements made with doubt: strength below 1."""
    weighted: bool = True
    """It can weigh judgements unequally."""
    settings: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    """Its keyword arguments, without `running`; tests hold them to the function's signature."""
    learning_rate: float
    """Default for full fine-tuning."""
    learning_rate_range: tuple[float, float]
    """Published for full fine-tuning, or sensible where nothing was published."""
    summary: str
    """One line."""
    formula: str
    """The loss, for one unit."""
    rewards: str
    """The implicit reward as a formula."""
    at_start: str
    """The loss where policy and reference agree, as a formula."""
    when: str
    """When to use it: a sentence or two."""
    when_not: str
    """When not to."""
    pitfalls: tuple[str, ...] = ()
    paper: str
    """Authors, year, arXiv number, equation."""
