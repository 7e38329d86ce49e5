import subprocess
import sys

import numpy as np
import pytest

from preftune.checks.cases import cases
from preftune.checks.noise.classifier import Table, folds_of, held_out_scores, logistic
from preftune.checks.noise.predictability import accuracy_of, by_form
from preftune.checks.noise.words import Sample, differences, ngrams, words_of
from preftune.checks.shortcuts.rules import measure
from preftune.records import Group, Message, Relation, Response, Severity


def groups(number, pairs=1):
    for prompt in range(number):
        sides = [f"answer {prompt} {side}" for side in range(pairs + 1)]
        responses = tuple(Response((Message("assistant", text),)) for text in sides)
        relations = tuple(Relation(0, side) for side in range(1, pairs + 1))
        yield Group((Message("user", f"prompt {prompt}"),), responses, relations)


def drawn(items, limit):
    sample = Sample(limit)
    for case in cases(items):
        sample.add(case)
    sample.trim()
    return sample


def test_the_sample_is_bounded_and_hangs_on_prompts_not_on_their_order():
    some = list(groups(500, 2))
    forwards, backwards = drawn(some, 100), drawn(some[::-1], 100)
    assert forwards.seen == 1_000
    assert len(forwards.drawn) == 100
    assert {one.key for one in forwards.drawn} == {one.key for one in backwards.drawn}
    assert len({one.key for one in forwards.drawn}) == 50
    assert len(drawn(groups(1, 300), 100).drawn) == 50  # one prompt does not crowd out others
    assert len(drawn(groups(30), 100).drawn) == 30


def test_words_have_the_same_numbers_in_every_process():
    text = "Hello, hello: Größe 日本 naïve"
    program = f"from preftune.checks.noise.words import *; print(words_of({text!r}).tolist())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(words_of(text).tolist())
    assert len(words_of(text)) == 6
    assert words_of("Hello").tolist() == words_of("hello").tolist()


def test_ngrams_are_words_and_pairs_of_words():
    assert len(ngrams(words_of("one two three"))) == 5
    assert len(ngrams(words_of("one one one"))) == 2
    assert len(ngrams(words_of(""))) == 0
    both = set(ngrams(words_of("one two"))) - set(ngrams(words_of("two one")))
    assert len(both) == 1  # the order of the pair


def test_differences_turn_round_with_the_sides():
    some = list(groups(40, 2))
    turned = [
        Group(one.prompt, one.responses, tuple(Relation(r.loser, r.winner) for r in one.relations))
        for one in some
    ]
    table, other = (differences(drawn(items, 1_000).drawn) for items in (some, turned))
    assert (table.matrix + other.matrix).nnz == 0 or abs(table.matrix + other.matrix).max() < 1e-6
    assert table.squares.mean() == pytest.approx(1, abs=1e-5)


def test_no_prompt_is_in_two_folds():
    prompts = np.random.default_rng(0).integers(0, 50, 300)
    folds = list(folds_of(prompts, 5))
    assert np.sum(folds, 0).tolist() == [1] * 300
    for held_out in folds:
        assert not set(prompts[held_out]) & set(prompts[~held_out])


def test_the_weights_are_where_the_slope_is_zero():
    random = np.random.default_rng(0)
    features = random.normal([0.5, 0, -0.2], size=(200, 3))
    training = np.arange(200) < 150
    weights = logistic(Table(features), training, 0.01)
    inside = features[training]
    slope = -(inside / (1 + np.exp(inside @ weights))[:, None]).mean(0) + 0.01 * weights
    assert np.abs(slope).max() < 1e-4


def test_held_out_accuracy_is_chance_where_there_is_nothing_to_learn():
    random = np.random.default_rng(0)
    features = random.normal(size=(400, 300))
    prompts = np.arange(400) // 2
    accuracy = accuracy_of(held_out_scores(Table(features), prompts, 1e-3), prompts)
    assert accuracy.low < 0.5 < accuracy.high
    everything = logistic(Table(features), np.ones(400, bool), 1e-3)
    assert ((features @ everything) > 0).mean() > 0.9  # what the same pairs would have claimed


def test_form_that_decides_together_is_found_and_named():
    random = np.random.default_rng(0)
    forms = random.integers(-5, 6, (1_000, 14)).astype(np.float32)
    wins = forms[:, 2] + forms[:, 7] > 0
    forms[~wins] *= -1
    best = measure(("more list items", "fewer list items"), forms[:, 2], np.arange(1_000))
    found = by_form(forms, np.arange(1_000), best)
    assert found.severity is Severity.warning
    assert found.estimate.low > best.explained.value
    assert "more list items" in found.sentence
    assert "more emoji" in found.sentence
    assert by_form(forms[:100], np.arange(100), best) is None
