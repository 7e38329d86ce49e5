"""Scores against labels and ranks, and how far they are apart."""

import json

import numpy as np
import pytest

from preftune.checks.contradictions.scores import Scores
from preftune.checks.examine import gather, run_checks
from preftune.records import Group, Message, Rating, Relation, Response, Severity, Silent
from preftune.sources import stream
from tests.sources.files_written import jsonl


def done(items):
    items = items if callable(items) else lambda rows=items: rows
    return gather(items, run_checks(items, [Scores()], Silent()))


def by_code(examination):
    return {one.code: one for one in examination.findings}


def group(*ratings, relations=(), prompt="q"):
    responses = tuple(
        Response((Message("assistant", f"r{number}"),), rating)
        for number, rating in enumerate(ratings)
    )
    return Group((Message("user", prompt),), responses, tuple(relations), source=f"f:{prompt}")


def scored(gap, prompt, relation=None):
    sides = (Rating(score=5.0 + gap), Rating(score=5.0))
    return group(*sides, relations=[relation or Relation(0, 1)], prompt=prompt)


def test_pairs_against_their_scores_are_counted_shown_and_dropped():
    rows = [scored(-2.0 if n in {7, 30, 90} else 2.0, f"{n}") for n in range(100)]
    examined = done(rows)
    found = by_code(examined)["PC304"]
    assert (found.count, found.total, found.unit) == (3, 100, "pairs")
    assert examined.drops == {7: "PC304", 30: "PC304", 90: "PC304"}
    assert [one.row for one in found.examples] == [7, 30, 90]
    assert found.examples[0].note == "rejected is rated 2 higher"
    assert found.examples[0].source == "f:7"
    assert found.estimate.low < 0.03 < found.estimate.high


RATES = [(0, 500, None), (2, 500, Severity.info), (25, 500, Severity.warning),
         (499, 500, Severity.error)]  # fmt: skip


@pytest.mark.parametrize(("wrong", "rows", "severity"), RATES)
def test_the_more_labels_are_against_their_scores_the_worse(wrong, rows, severity):
    found = by_code(done([scored(-1.0 if n < wrong else 1.0, f"{n}") for n in range(rows)]))
    assert ("PC304" in found) == (severity is not None)
    if severity is not None:
        assert found["PC304"].severity is severity
        assert ("the other way round" in found["PC304"].sentence) == (severity is Severity.error)


def test_pairs_of_one_prompt_are_no_independent_evidence():
    alone = done([scored(-1.0 if n < 25 else 1.0, f"{n}") for n in range(500)])
    together = done([scored(-1.0 if n < 25 else 1.0, f"{n // 100}") for n in range(500)])
    assert by_code(alone)["PC304"].severity is Severity.warning
    assert by_code(together)["PC304"].severity is Severity.info
    assert by_code(together)["PC304"].estimate.n == 5


def test_a_row_is_only_left_out_if_all_its_pairs_are_against_their_scores():
    both = group(
        Rating(score=1.0), Rating(score=2.0), Rating(score=0.0),
        relations=[Relation(0, 1), Relation(1, 2)],
    )  # fmt: skip
    examined = done([both])
    assert by_code(examined)["PC304"].count == 1
    assert examined.drops == {}
    assert by_code(examined)["PC304"].examples[0].pair == 0


def test_ties_are_against_nothing_and_a_margin_goes_before_scores():
    tie = scored(-3.0, "tie", Relation(0, 1, tie=True))
    margin = scored(-3.0, "margin", Relation(0, 1, margin=1.0))
    assert "PC304" not in by_code(done([tie, margin]))
    assert "PC304" in by_code(done([scored(3.0, "margin", Relation(0, 1, margin=-1.0))]))


def both(scores, ranks, prompt="q"):
    ratings = [Rating(score=s, rank=r) for s, r in zip(scores, ranks, strict=True)]
    return group(*ratings, prompt=prompt)


def test_rankings_that_disagree_with_their_scores():
    fine = [both([4, 3, 2, 2], [0, 1, 2, 3], f"{n}") for n in range(90)]
    odd = [both([4, 2, 3, 1], [0, 1, 2, 3], f"odd {n}") for n in range(10)]
    found = by_code(done([*fine, *odd]))["PC302"]
    assert (found.count, found.total, found.severity) == (10, 100, Severity.warning)
    assert found.examples[0].note == "score 2 at rank 1, score 3 at rank 2"
    assert "1.7 % of two responses" in found.sentence  # one of six, in one of ten
    assert "PC302" not in by_code(done(fine))


def test_ranks_that_count_the_other_way_are_an_error():
    rows = [both([4, 3, 2, 1], [3, 2, 1, 0], f"{n}") for n in range(30)]
    found = by_code(done(rows))["PC302"]
    assert found.severity is Severity.error
    assert "counts the other way round" in found.sentence


def test_gaps_of_lists_are_between_the_best_and_the_worst():
    rows = [group(Rating(score=1.0), Rating(score=float(n)), Rating(), None, prompt=f"{n}")
            for n in range(1, 42)]  # fmt: skip
    examined = done(rows)
    found, figure = by_code(examined)["PC608"], examined.figures["score_gaps"]
    assert "scores of the best and the worst response" in found.sentence
    assert (found.count, found.total, found.unit) == (4, 41, "prompts")  # 0, 1, 2, 3 of 40
    assert figure["share_zero"] == pytest.approx(1 / 41)
    assert figure["quantiles"]["50"] == 20.0
    assert sum(figure["counts"]) == 41
    assert len(figure["edges"]) == len(figure["counts"]) + 1


QUIET = [
    [],
    [group(None)],
    [group(Rating(good=True))],
    [group(Rating(score=1.0))],
    [group(None, None, relations=[Relation(0, 1)])],
    [group(Rating(rank=0), Rating(rank=1))],
    [both([1, 1], [0, 1])],
    [both([1e30, -1e30], [0, 1])],
    [scored(0.0, "equal", Relation(0, 1, tie=True))] * 40,
    [scored(1.0, "one")] * 3,
    [group(*[Rating(score=n, rank=300 - n) for n in range(300)])],
]


@pytest.mark.parametrize("rows", QUIET)
def test_odd_data_never_fails_and_says_nothing_severe(rows):
    examined = done(rows)
    assert set(by_code(examined)) <= {"PC608"}
    assert json.loads(json.dumps(examined.figures, allow_nan=False)) == examined.figures


def test_gaps_of_published_pairs(shared):
    path = str(shared / "data/ultrafeedback/scored.jsonl.gz")
    groups = [one for one in stream(path).items if isinstance(one, Group)]
    gaps = np.array([one.responses[0].rating.score - one.responses[1].rating.score
                     for one in groups])  # fmt: skip
    examined = done(lambda: stream(path).items)
    assert not set(by_code(examined)) & {"PC302", "PC304"}
    figure = examined.figures["score_gaps"]
    assert figure["number"] == len(gaps)
    assert figure["share_zero"] == (gaps == 0).mean()
    assert figure["quantiles"]["50"] == np.median(np.abs(gaps))


def test_planted_contradictions_in_published_pairs_are_all_found(shared, tmp_path):
    """Swapped labels in every twentieth row that is no tie: these rows and no other are named."""
    random = np.random.default_rng(0)
    rows, planted = [], set()
    groups = stream(str(shared / "data/ultrafeedback/scored.jsonl.gz")).items
    for number, one in enumerate(item for item in groups if isinstance(item, Group)):
        sides = list(one.responses)
        if not one.relations[0].tie and random.random() < 0.05:
            sides, planted = sides[::-1], planted | {number}
        rows.append({
            "prompt": one.prompt[0].content,
            "chosen": sides[0].turns[0].content, "rejected": sides[1].turns[0].content,
            "score_chosen": sides[0].rating.score, "score_rejected": sides[1].rating.score,
        })  # fmt: skip
    path = jsonl(tmp_path / "d.jsonl", rows)
    examined = done(lambda: stream(path).items)
    assert set(examined.drops) == planted
    assert by_code(examined)["PC304"].count == len(planted)
    assert by_code(examined)["PC304"].severity is Severity.warning
