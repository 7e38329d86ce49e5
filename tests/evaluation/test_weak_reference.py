from itertools import product

import numpy as np
import pytest

from preftune.evaluation.weak_reference import weak_reference
from preftune.judging import SentimentScorer
from preftune.models import LogProbModel, load_model, load_tokenizer
from preftune.records import Exclusion, Group, Message, Relation, Response, Severity
from preftune.sources import stream
from tests.evaluation.tiny import ShareOfA, tiny_model, tiny_tokenizer


def group(prompt, chosen, rejected, form="text"):
    texts = [*chosen, *rejected]
    sides = tuple(Response((Message("assistant", text),)) for text in texts)
    pairs = product(range(len(chosen)), range(len(chosen), len(texts)))
    relations = tuple(Relation(winner, loser) for winner, loser in pairs)
    return Group((Message("user", prompt),), sides, relations, f"f:{prompt}", form=form)


def asked(rows, **settings):
    settings = {"max_new_tokens": 12, **settings}
    return weak_reference(tiny_model(0), tiny_tokenizer(), rows, ShareOfA(), **settings)


PROMPTS = [a + b for a in "bcdefghij" for b in "bcdefghij"]


def test_answers_worse_than_the_rejected_ones_are_a_warning():
    rows = [group(prompt, ["a" * 30], ["a" * 20]) for prompt in PROMPTS]
    (one,) = asked(rows).findings
    assert one.code == "PC707"
    assert one.severity is Severity.warning
    assert one.estimate.high < 0
    assert one.estimate.n == one.total == 81
    worst = one.examples[0]
    assert worst.source.startswith("f:")
    assert worst.excerpts["rejected"] == "a" * 20
    assert set(worst.excerpts) == {"prompt", "own answer", "chosen", "rejected"}
    better = [group(prompt, ["a" * 30], ["b" * 90]) for prompt in PROMPTS]
    assert asked(better).findings[0].severity is Severity.info
    assert asked(better).findings[0].estimate.low > 0


def test_scores_are_of_prompt_and_response_and_a_prompt_is_one_unit():
    many = [group("bb", ["aa", "ab"], ["bb", "ba"]), group("bb", ["bb"], ["aa"])]
    done = asked([*many, Exclusion("f:9", "broken"), group("cc", ["a"], ["b"], form="chat")])
    figure = done.figures["weak_reference"]
    assert figure["chosen"] == pytest.approx([(2 / 4 + 1 / 4) / 2, 1 / 5], abs=1e-4)
    assert figure["rejected"] == pytest.approx([(0 + 1 / 4) / 2, 0], abs=1e-4)
    assert len(figure["own"]) == 2


def test_the_sample_is_the_same_in_any_order_and_with_any_seed_of_the_answers():
    rows = [group(prompt, ["a"], ["b"]) for prompt in PROMPTS]
    back = asked(rows[::-1], sample=10)
    first, other = asked(rows, sample=10), asked(rows, sample=10, seed=1)
    assert first.findings[0].total == 10
    assert asked(rows, sample=10) == first
    assert {one.source for one in first.findings[0].examples} <= {row.source for row in rows}
    assert first.figures["weak_reference"]["own"] != other.figures["weak_reference"]["own"]
    sides = [done.figures["weak_reference"]["chosen"] for done in (first, other, back)]
    assert sides[0] == sides[1] == sides[2][::-1]


def test_prompts_that_leave_no_room_and_rows_without_pairs_are_not_asked():
    long = [group(prompt * 30, ["a"], ["b"]) for prompt in PROMPTS]
    alone = [group(prompt, ["a"], []) for prompt in PROMPTS]
    for rows in (long, alone, [group("bb", ["a"], ["b"])]):
        (one,) = asked(rows).findings
        assert one.severity is Severity.info
        assert "can't be judged here" in one.sentence


def test_a_real_model_beside_its_own_answers(shared):
    folder = str(shared / "models" / "stories260k")
    model = load_model(folder, dtype="float32")
    LogProbModel(model)  # as the other checks leave it
    rows = stream(str(shared / "data" / "stories-pairs" / "pairs.jsonl"), limit=200).items
    done = weak_reference(
        model, load_tokenizer(folder), rows, SentimentScorer.load(), sample=64, max_new_tokens=65
    )
    (one,) = done.findings
    figure = done.figures["weak_reference"]
    assert one.total == 64
    # Chosen and rejected are the best and the worst of such answers.
    assert np.mean(figure["rejected"]) < np.mean(figure["own"]) < np.mean(figure["chosen"])
    assert one.severity is Severity.info
