import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from preftune.errors import ConfigError
from preftune.evaluation import Comparison, compare
from preftune.generation import generate
from preftune.records import Relation, TokenGroup, TokenResponse
from tests.evaluation.tiny import ShareOfA, prompts, tiny_model, tiny_tokenizer


def run(before, after, texts, **settings):
    settings = {"seed": 0, "max_new_tokens": 6} | settings
    return compare(before, after, tiny_tokenizer(), texts, ShareOfA(), **settings)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return run(tiny_model(0), tiny_model(1), prompts(40))


def responses(model):
    """What `compare` must have drawn: prompt ids and response ids, control tokens included."""
    tokenizer = tiny_tokenizer()
    given = [np.array(tokenizer(text).input_ids, np.int32) for text in prompts(40)]
    drawn = generate(model, tokenizer, given, max_new_tokens=6, seed=0)
    return [(ids, response.ids) for ids, (response,) in zip(given, drawn, strict=True)]


def log_prob_plain(model, given, answer):
    """log p of a response by the library's own forward."""
    ids = torch.tensor(np.concatenate([given, answer])).long()
    with torch.no_grad():
        logps = torch.log_softmax(model(ids[None]).logits[0].double(), -1)
    places = torch.arange(len(given) - 1, len(ids) - 1)
    return logps[places, ids[len(given) :]].sum().item()


def test_a_model_against_itself_is_a_draw_at_no_cost():
    found = run(tiny_model(0), tiny_model(0), prompts(20))
    assert found.win_rate.value == 0.5
    assert found.kl.value == pytest.approx(0, abs=1e-5)
    for change in (found.score, found.length, found.finished, found.perplexity):
        assert change.before == change.after
        assert change.difference.value == 0
    assert all(sample.before == sample.after for sample in found.samples)


def test_scores_and_win_rate_are_those_of_the_samples(comparison):
    samples = comparison.samples
    scorer = ShareOfA()
    assert [sample.prompt for sample in samples] == prompts(40)
    for side in ("before", "after"):
        whole = [sample.prompt + getattr(sample, side) for sample in samples]
        scores = scorer.score(whole)
        assert [getattr(sample, f"score_{side}") for sample in samples] == scores.tolist()
        assert getattr(comparison.score, side).value == pytest.approx(scores.mean())
    wins = [s.score_after > s.score_before for s in samples]
    ties = [s.score_after == s.score_before for s in samples]
    assert comparison.win_rate.value == pytest.approx(np.mean(wins) + np.mean(ties) / 2)
    assert 0 < np.mean(ties) < 1  # both kinds happened, or the line above says little
    moved = comparison.score.difference
    assert moved.value == pytest.approx(
        comparison.score.after.value - comparison.score.before.value
    )


def test_kl_and_perplexity_are_those_of_a_plain_forward(comparison):
    before, after = tiny_model(0), tiny_model(1)
    drawn = responses(after)
    base = [log_prob_plain(before, *pair) for pair in drawn]
    own = [log_prob_plain(after, *pair) for pair in drawn]
    tokens = sum(len(answer) for _, answer in drawn)
    assert comparison.kl.value == pytest.approx(np.mean(own) - np.mean(base), abs=1e-5)
    assert comparison.perplexity.after.value == pytest.approx(np.exp(-sum(base) / tokens), rel=1e-5)
    assert comparison.length.after.value == pytest.approx(tokens / 40)
    drawn = responses(before)
    nats = -sum(log_prob_plain(before, *pair) for pair in drawn)
    tokens = sum(len(answer) for _, answer in drawn)
    assert comparison.perplexity.before.value == pytest.approx(np.exp(nats / tokens), rel=1e-5)


def test_the_sampled_kl_is_the_exact_one_within_its_interval():
    """One token of response: KL is a sum over the vocabulary, exactly."""
    models, texts = (tiny_model(0), tiny_model(1)), prompts(600)
    tokenizer = tiny_tokenizer()
    ids = torch.tensor([tokenizer(text).input_ids for text in texts])
    with torch.no_grad():
        before, after = (
            torch.log_softmax(model(ids).logits[:, -1].double(), -1) for model in models
        )
    exact = (after.exp() * (after - before)).sum(-1).mean().item()
    found = run(*models, texts, max_new_tokens=1)
    reach = (found.kl.high - found.kl.low) / 2
    assert found.kl.value == pytest.approx(exact, abs=1.5 * reach)
    assert reach < exact / 3


def test_every_estimate_counts_prompts(comparison):
    assert comparison.kl.n == comparison.win_rate.n == comparison.score.difference.n == 40
    assert comparison.perplexity.difference.n == 40


def test_finished_is_the_share_that_ended_by_itself(comparison):
    ended = [answer[-1] == 1 for _, answer in responses(tiny_model(1))]
    assert comparison.finished.after.value == pytest.approx(np.mean(ended))
    assert 0 < np.mean(ended) < 1


def pairs_of(rows):
    sides = [
        [TokenResponse(np.array(ids, np.int32), np.ones(len(ids), bool)) for ids in row[1:]]
        for row in rows
    ]
    return [
        TokenGroup(np.array(row[0], np.int32), tuple(side), (Relation(winner, 1 - winner),))
        for row, side, winner in zip(rows, sides, (0, 1, 0), strict=True)
    ]


def test_held_out_pairs_before_and_after():
    rows = [([0, 2, 3], [4, 5, 1], [6, 1]), ([0, 4], [7, 1], [8, 8, 1]), ([0, 5], [9, 1], [2, 1])]
    models = tiny_model(0), tiny_model(1)
    found = run(*models, prompts(4), pairs=pairs_of(rows)).pairs
    assert found is not None
    sums = np.zeros((2, 3, 2))
    for m, model in enumerate(models):
        for r, (given, *answers) in enumerate(rows):
            for a, answer in enumerate(answers):
                with torch.no_grad():
                    logits = model(torch.tensor([given + answer])).logits[0].double()
                logps = torch.log_softmax(logits, -1)[len(given) - 1 : -1]
                sums[m, r, a] = logps.gather(1, torch.tensor(answer)[:, None]).sum()
    each, winner = np.arange(3), np.array([0, 1, 0])
    chosen, rejected = sums[:, each, winner], sums[:, each, 1 - winner]
    margins = (chosen[1] - chosen[0]) - (rejected[1] - rejected[0])
    assert found.pairs == 3
    assert found.chosen.before.value == pytest.approx(chosen[0].mean(), abs=1e-4)
    assert found.chosen.difference.value == pytest.approx((chosen[1] - chosen[0]).mean(), abs=1e-4)
    assert found.rejected.after.value == pytest.approx(rejected[1].mean(), abs=1e-4)
    assert found.margin.value == pytest.approx(margins.mean(), abs=1e-4)
    assert found.accuracy.value == pytest.approx((margins > 0).mean())


def test_pairs_of_one_prompt_are_resampled_together():
    same, other = ([0, 2, 3], [4, 5, 1], [6, 1]), ([0, 5], [9, 1], [2, 1])
    found = run(tiny_model(0), tiny_model(1), prompts(4), pairs=pairs_of([same, same, other])).pairs
    assert found is not None
    assert (found.pairs, found.margin.n, found.chosen.difference.n) == (3, 2, 2)


def test_json_holds_everything_but_the_samples(comparison):
    document = json.loads(json.dumps(comparison.to_json(), allow_nan=False))
    assert set(document["score"]["after"]) == {"value", "low", "high", "n", "confidence"}
    assert document["pairs"] is None
    assert "samples" not in document
    rows = json.loads(json.dumps(comparison.sample_rows()))
    assert len(rows) == 40
    assert rows[0]["prompt"] == comparison.samples[0].prompt
    assert comparison.examples(3) == comparison.samples[:3]


def test_the_same_seed_gives_the_same_result(comparison):
    assert run(tiny_model(0), tiny_model(1), prompts(40)) == comparison
    other = run(tiny_model(0), tiny_model(1), prompts(40), seed=1)
    assert other != replace(comparison, seed=1)


def test_the_token_budget_changes_nothing(comparison):
    small = run(tiny_model(0), tiny_model(1), prompts(40), tokens_per_batch=16)
    assert small.kl.value == pytest.approx(comparison.kl.value, abs=1e-5)
    assert small.samples == comparison.samples


def test_one_prompt_has_no_interval():
    with pytest.raises(ConfigError, match="at least two prompts") as caught:
        run(tiny_model(0), tiny_model(1), ["abc"])
    assert caught.value.code == "PT301"
