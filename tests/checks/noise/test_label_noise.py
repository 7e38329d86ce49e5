import gzip
import json

import numpy as np
import pytest

from preftune.checks.cases import Account, cases
from preftune.checks.noise.plateau import fit
from preftune.checks.noise.predictability import Words
from preftune.records import Group, Message, Relation, Response, Severity
from preftune.sources import stream

pytestmark = pytest.mark.slow


def group(prompt, chosen, rejected, wrong):
    sides = tuple(Response((Message("assistant", text),)) for text in (chosen, rejected))
    return Group((Message("user", prompt),), sides, (Relation(int(wrong), int(not wrong)),))


def polite(shared):
    path = shared / "data/polite-pairs/instruction-data-with-preference.json"
    groups = [one for one in stream(str(path)).items if isinstance(one, Group)]
    return [
        (one.prompt[0].content, *(side.turns[0].content for side in one.responses))
        for one in groups
    ]


def reviews(shared, rows):
    """Good film reviews against bad ones: real texts whose labels words predict."""
    good, bad = [], []
    with gzip.open(shared / "data/imdb/train.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            (good if "/pos/" in row["id"] else bad).append(row["text"])
    random = np.random.default_rng(0)
    picks = [random.permutation(len(texts))[:rows] for texts in (good, bad)]
    return [
        (f"Review {number}:", good[one], bad[other])
        for number, (one, other) in enumerate(zip(*picks, strict=True))
    ]


def concluded(pairs, wrong):
    """What the check says of pairs of which some are turned round, and the figures."""
    check, account = Words(), Account()
    groups = [group(*pair, flip) for pair, flip in zip(pairs, wrong, strict=True)]
    for case in cases(groups):
        check.see(case)
        account.sources.append(case.group.source)
    done = check.conclude(account)
    json.dumps(done.figures)
    return {one.code: one for one in done.findings}, done.figures


def flips(pairs, rate, seed):
    return np.random.default_rng(seed).random(len(pairs)) < rate


@pytest.mark.parametrize("rate", [0, 0.2])
def test_the_planted_rate_is_found_on_polite_pairs(rate, shared):
    pairs = polite(shared)
    wrong = flips(pairs, rate, seed=1)
    found, figures = concluded(pairs, wrong)
    noise = found["PC600"]
    assert noise.estimate.value == pytest.approx(wrong.mean(), abs=0.03)
    assert noise.estimate.low - 0.005 <= wrong.mean() <= noise.estimate.high
    assert noise.severity is (Severity.warning if rate > 0.1 else Severity.info)
    assert figures["noise"]["told"]
    assert sum(part["pairs"] for part in figures["noise"]["curve"]) == len(pairs)
    if rate:
        listed = figures["suspicious"]
        assert len(listed) == 20
        assert np.mean([wrong[one["row"]] for one in listed]) >= 0.9
        assert [one.row for one in found["PC602"].examples] == [one["row"] for one in listed[:3]]
    else:
        assert "PC602" not in found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rate", [0, 0.01, 0.05, 0.1, 0.2, 0.4])
@pytest.mark.parametrize("name", ["polite", "reviews"])
def test_planted_rates_over_seeds(name, rate, seed, shared):
    pairs = polite(shared) if name == "polite" else reviews(shared, 4_000)
    wrong = flips(pairs, rate, seed)
    found, figures = concluded(pairs, wrong)
    noise = figures["noise"]
    if noise["told"]:
        near = 0.03 if rate <= 0.2 else 0.06
        assert noise["estimate"] == pytest.approx(wrong.mean(), abs=near)
    else:  # so few pairs can't always tell 40 % from less: then it says so
        assert rate == 0.4
        assert noise["low"] <= wrong.mean() <= noise["high"]
    assert noise["told"] == ("PC600" in found) == ("PC601" not in found)


def test_harmless_pairs_can_not_tell(shared):
    check = Words()
    for case in cases(stream(str(shared / "data/hh-harmless/train.jsonl.gz")).items):
        check.see(case)
    found = {one.code: one for one in check.conclude(Account()).findings}
    assert found.keys() == {"PC406", "PC601"}
    assert "words predict only" in found["PC601"].sentence
    assert found["PC601"].estimate is None  # a bar beside "can't be told" would tell it


@pytest.mark.parametrize("turned", [0.25])
def test_labels_that_follow_length_are_not_taken_for_truth(turned, shared):
    pairs = polite(shared)
    wrong = [len(chosen) < len(rejected) for _, chosen, rejected in pairs]
    wrong = np.array(wrong) ^ flips(pairs, turned, seed=0)
    found, _ = concluded(pairs, wrong)
    assert "PC600" not in found
    assert "length alone predicts" in found["PC601"].sentence


@pytest.mark.parametrize("seed", [0])
def test_labels_drawn_at_random_are_no_alarm(seed, shared):
    pairs = polite(shared)
    found, _ = concluded(pairs, flips(pairs, 0.5, seed))
    assert "PC601" in found
    assert all(one.severity is Severity.info for one in found.values())


def drawn_scores(random, rate, number, separation):
    """Normal scores whose log-odds are linear, as the model has them, with flipped labels."""
    scores = random.normal(separation, 1, number)
    return np.where(random.random(number) < rate, -scores, scores)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3])
def test_the_model_recovers_its_own_parameters_and_covers_them(rate):
    random = np.random.default_rng(0)
    fits = [fit(drawn_scores(random, rate, 3_000, 1.6)) for _ in range(25)]
    assert np.mean([one.rate for one in fits]) == pytest.approx(rate, abs=0.01)
    covered = [one.low <= rate <= one.high for one in fits]
    assert np.mean(covered) >= 0.88
    assert np.mean([one.steepness for one in fits]) == pytest.approx(2 * 1.6, rel=0.15)


def test_dependent_pairs_widen_the_interval():
    scores = drawn_scores(np.random.default_rng(0), 0.1, 2_000, 1.6)
    alone, shared = fit(scores), fit(np.repeat(scores, 4), independent=0.25)
    assert (shared.low, shared.high) == pytest.approx((alone.low, alone.high), abs=0.011)


def test_doubt_is_the_posterior():
    random = np.random.default_rng(0)
    scores = random.normal(1.6, 1, 20_000)
    wrong = random.random(20_000) < 0.2
    scores[wrong] *= -1
    doubts = fit(scores).doubt(scores)
    for low in np.arange(0, 1, 0.25):
        inside = (doubts >= low) & (doubts < low + 0.25)
        assert wrong[inside].mean() == pytest.approx(doubts[inside].mean(), abs=0.05)


def confident_learning(scores):
    """Northcutt et al. 2021, section 3.1, of two classes that mirror each other.

    Probabilities are a logistic regression's on the held-out scores; the threshold is the mean
    self-confidence; the rate is that of the confident joint.
    """
    losses = {k: np.logaddexp(0, -k * scores).sum() for k in np.exp(np.linspace(-3, 4, 100))}
    steepness = min(losses, key=losses.__getitem__)
    given = 1 / (1 + np.exp(-steepness * scores))
    threshold = given.mean()
    kept, turned = given >= threshold, 1 - given >= threshold
    return turned.sum() / (kept.sum() + turned.sum())


def test_the_model_is_nearer_than_confident_learning():
    random = np.random.default_rng(0)
    ours, theirs = [], []
    for rate in (0.0, 0.1, 0.2):
        for _ in range(3):
            scores = drawn_scores(random, rate, 2_000, 1.5)
            ours.append(abs(fit(scores).rate - rate))
            theirs.append(abs(confident_learning(scores) - rate))
    assert np.mean(ours) < np.mean(theirs) / 2


def test_odd_data_is_no_fault():
    nothing = Words().conclude(Account())
    assert not nothing.findings
    same = [(f"prompt {n}", "yes", "yes") for n in range(250)]
    found, _ = concluded(same, [False] * 250)
    assert "PC601" in found
    found, _ = concluded([(f"prompt {n}", "", "…") for n in range(250)], [False] * 250)
    assert "PC601" in found
    found, _ = concluded([("one prompt", "yes", f"no {n}") for n in range(250)], [False] * 250)
    assert "too few" in found["PC601"].sentence
