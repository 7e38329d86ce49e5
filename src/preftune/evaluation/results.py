"""What a comparison of two models found. Every number carries its interval."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from preftune.records import Estimate


@dataclass(frozen=True, slots=True)
class Change:
    """The same quantity before and after tuning, and the paired difference after - before."""

    before: Estimate
    after: Estimate
    difference: Estimate


@dataclass(frozen=True, slots=True)
class Sample:
    """One unseen prompt with a response of either model."""

    prompt: str
    before: str
    after: str
    score_before: float
    score_after: float


@dataclass(frozen=True, slots=True)
class PairChange:
    """What tuning did to the log-probs of held-out pairs, in nats per response."""

    pairs: int
    chosen: Change
    rejected: Change
    margin: Estimate
    """Mean of (log-ratio of chosen - log-ratio of rejected): how much the preference moved."""
    accuracy: Estimate
    """Share of pairs whose margin is positive; a tie counts one half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two models on the same unseen prompts, one response of each per prompt."""

    seed: int
    max_new_tokens: int
    score: Change
    """Mean score of prompt + response, in the scorer's units."""
    win_rate: Estimate
    """Share of prompts on which the response after tuning scores higher; a tie is one half."""
    kl: Estimate
    """KL(after || before) over whole responses, nats, from samples of the tuned model."""
    length: Change
    """Tokens per response, the end-of-sequence token included."""
    finished: Change
    """Share of responses that ended by themselves."""
    perplexity: Change
    """Of the responses under the model before tuning: does text stay text?"""
    distinct_bigrams: tuple[float, float]
    """Distinct word pairs / word pairs over all responses, before and after: does variety stay?"""
    samples: tuple[Sample, ...]
    """Every prompt and its two responses, in the order of the prompts."""
    pairs: PairChange | None = field(default=None)
    """On held-out pairs, where some were given."""

    def examples(self, number: int = 3) -> tuple[Sample, ...]:
        """The first prompts, whatever their scores: not picked by hand."""
        return self.samples[:number]

    def to_json(self) -> dict[str, Any]:
        """Everything but the samples, as plain JSON values."""
        kept = [item.name for item in fields(self) if item.name != "samples"]
        everything = asdict(self)
        return {name: everything[name] for name in kept}

    def sample_rows(self) -> list[dict[str, Any]]:
        """The samples as rows for a JSONL file."""
        return [asdict(sample) for sample in self.samples]
