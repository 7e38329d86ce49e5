"""A model before and after tuning, on prompts that neither was tuned on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from preftune.errors import ConfigError
from preftune.evaluation.logps import summed_logps
from preftune.evaluation.pairs import pair_change
from preftune.evaluation.responses import Responses, distinct_bigrams
from preftune.evaluation.results import Change, Comparison, PairChange, Sample
from preftune.judging import Scorer
from preftune.records import Silent, TokenGroup, TokenResponse, Watch
from preftune.records.tokens import Ids
from preftune.rendering.encoder import Encoder
from preftune.statistics import (
    bootstrap_mean,
    bootstrap_means,
    outcomes,
    paired_difference,
    win_rate,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from preftune.models import LogProbModel

Floats = NDArray[np.float64]


def compare(
    before: "PreTrainedModel",
    after: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: Sequence[str],
    scorer: Scorer,
    *,
    seed: int,
    max_new_tokens: int,
    pairs: Sequence[TokenGroup] = (),
    tokens_per_batch: int = 4096,
    watch: Watch | None = None,
) -> Comparison:
    """Sample one response of each model to each prompt, and measure what tuning changed.

    Both models are plain ones as `load_model` returns them, not inside a training wrapper. They
    sample at temperature 1 without truncating the distribution: otherwise the sampled
    KL would not be that of the models.

    Args:
        before: The model that tuning started from.
        after: The tuned model.
        tokenizer: Of both.
        prompts: Texts to continue, at least two, each an independent unit of the intervals.
        scorer: Judges prompt + response.
        seed: Of sampling and of the intervals.
        max_new_tokens: Where responses are cut.
        pairs: Held-out pairs whose log-probs are compared.
        tokens_per_batch: Token budget of a scoring batch.
        watch: Told of the progress.

    Raises:
        ConfigError: fewer than two prompts (PT301).
    """
    if len(prompts) < 2:
        raise ConfigError(
            "PT301",
            f"a comparison needs at least two prompts, got {len(prompts)}.",
            why="an interval measures how results differ between prompts.",
            fix="give more prompts; a few hundred make the intervals narrow.",
        )
    watch = watch or Silent()
    watch.begin("evaluation", 5)
    ids = [np.array(row, np.int32) for row in Encoder(tokenizer).prompts(prompts)]
    limits = {"seed": seed, "max_new_tokens": max_new_tokens}
    first = Responses.draw(before, tokenizer, prompts, ids, scorer, **limits)
    watch.advance(1)
    second = Responses.draw(after, tokenizer, prompts, ids, scorer, **limits)
    watch.advance(2)
    # Only now: scoring replaces the attention that sampling needs.
    logps = _LogpsBoth(before, after, tokens_per_batch)
    own_before, _ = logps.of(ids, first.tokens)
    watch.advance(3)
    base_after, own_after = logps.of(ids, second.tokens)
    watch.advance(4)
    comparison = Comparison(
        seed=seed,
        max_new_tokens=max_new_tokens,
        score=_change(first.scores, second.scores, seed),
        win_rate=win_rate(outcomes(second.scores, first.scores)),
        kl=bootstrap_mean(own_after - base_after, seed=seed),
        length=_change(first.lengths, second.lengths, seed),
        finished=_change(first.finished, second.finished, seed),
        perplexity=_perplexity(own_before, first.lengths, base_after, second.lengths, seed),
        distinct_bigrams=(distinct_bigrams(first.texts), distinct_bigrams(second.texts)),
        samples=_samples(prompts, first, second),
        pairs=logps.pairs(pairs, seed) if pairs else None,
    )
    watch.advance(5)
    watch.end()
    return comparison


class _LogpsBoth:
    """Summed log-probs of responses under both models."""

    def __init__(
        self, before: "PreTrainedModel", after: "PreTrainedModel", tokens_per_batch: int
    ) -> None:
        from preftune.models import LogProbModel

        self._models = (LogProbModel(before), LogProbModel(after))
        self._budget = tokens_per_batch

    def of(self, ids: Sequence[Ids], responses: Sequence[TokenResponse]) -> tuple[Floats, Floats]:
        """Nats per response under the model before and the one after."""
        groups = [
            TokenGroup(prompt, (response,)) for prompt, response in zip(ids, responses, strict=True)
        ]
        first, second = (self._sums(model, groups) for model in self._models)
        return first[:, 0], second[:, 0]

    def pairs(self, pairs: Sequence[TokenGroup], seed: int) -> PairChange:
        """What tuning did to held-out pairs."""
        before, after = (self._sums(model, pairs) for model in self._models)
        return pair_change(pairs, before, after, seed)

    def _sums(self, model: "LogProbModel", groups: Sequence[TokenGroup]) -> Floats:
        return summed_logps(model, groups, self._budget)


def _change(before: Floats, after: Floats, seed: int) -> Change:
    return Change(
        bootstrap_mean(before, seed=seed),
        bootstrap_mean(after, seed=seed),
        paired_difference(after, before, seed=seed),
    )


def _perplexity(
    logps_before: Floats, lengths_before: Floats, logps_after: Floats, lengths_after: Floats,
    seed: int,
) -> Change:  # fmt: skip
    """exp(nats per token): tokens weigh alike, prompts are what is resampled."""
    columns = np.stack([-logps_before, lengths_before, -logps_after, lengths_after], -1)

    def first(means: Floats) -> Floats:
        return np.exp(means[..., 0] / means[..., 1])

    def second(means: Floats) -> Floats:
        return np.exp(means[..., 2] / means[..., 3])

    return Change(
        bootstrap_means(columns, first, seed=seed),
        bootstrap_means(columns, second, seed=seed),
        bootstrap_means(columns, lambda means: second(means) - first(means), seed=seed),
    )


def _samples(prompts: Sequence[str], first: Responses, second: Responses) -> tuple[Sample, ...]:
    rows = zip(prompts, first.texts, second.texts, first.scores, second.scores, strict=True)
    return tuple(
        Sample(prompt, before, after, float(low), float(high))
        for prompt, before, after, low, high in rows
    )
