"""Annotators who stand out are found, and honest ones are not accused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from preftune.checks.annotators.annotators import Annotators, concluded
from preftune.checks.annotators.votes import TIE, VoteBox
from preftune.checks.cases import CaseMaker
from preftune.checks.examine import gather, run_checks
from preftune.records import Group, Message, Relation, Response, Severity, Silent
from preftune.sources import stream
from preftune.statistics import krippendorff_alpha, label_counts, pairwise_agreement
from tests.checks import crowd

ACCUSING = {"PC604", "PC605", "PC606"}


def by_code(conclusion):
    return {one.code: one for one in conclusion.findings}


def accused(conclusion):
    return ACCUSING & by_code(conclusion).keys()


def busiest(votes, least, most):
    number = np.bincount(votes.annotators)
    return np.flatnonzero((number >= least) & (number < most))


def planted(votes, random, who):
    """Three of the annotators answer by lot, with the first, and with the longer response."""
    labels = votes.labels.copy()
    by_lot, first, longer = (np.flatnonzero(votes.annotators == one) for one in who)
    labels[by_lot] = random.integers(3, size=len(by_lot))
    labels[first] = votes.firsts[first]
    labels[longer] = np.where(votes.longers[longer] < 0, TIE, votes.longers[longer])
    return replace(votes, labels=labels)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_planted_annotators_are_found_and_named(shared, seed):
    random = np.random.default_rng(seed)
    votes = crowd.honest(crowd.votes(shared), random)
    who = random.choice(busiest(votes, 300, 2_000), 3, replace=False)
    found = by_code(concluded(planted(votes, random, who)))
    for code, one in zip(("PC604", "PC605", "PC606"), who, strict=True):
        assert votes.names[one] in found[code].sentence
        # Who always takes the first may agree with the others as little as who draws lots.
        assert found[code].count <= (2 if code == "PC604" else 1)
        share = (votes.annotators == one).mean()
        assert found[code].severity == (Severity.warning if share >= 0.01 else Severity.info)
    assert "choose the first response" in found["PC605"].sentence
    assert "choose the longer response" in found["PC606"].sentence
    assert found["PC605"].estimate.low > 0.15


@pytest.mark.slow
def test_an_honest_crowd_is_not_accused(shared):
    votes = crowd.votes(shared)
    seeds = 20
    alarms = [
        accused(concluded(crowd.honest(votes, np.random.default_rng(n)))) for n in range(seeds)
    ]
    assert sum(map(bool, alarms)) <= 0.05 * seeds


def test_the_opposite_habit_is_found_too(shared):
    votes = crowd.honest(crowd.votes(shared), np.random.default_rng(7))
    second, shorter = busiest(votes, 500, 2_000)[:2]
    labels = votes.labels.copy()
    labels[votes.annotators == second] = 1
    chosen = (votes.annotators == shorter) & (votes.longers >= 0)
    labels[chosen] = 1 - votes.longers[chosen]
    found = by_code(concluded(replace(votes, labels=labels)))
    assert "choose the second response" in found["PC605"].sentence
    assert f"{votes.names[second]} in 100 %" in found["PC605"].sentence
    assert "choose the shorter response" in found["PC606"].sentence
    assert found["PC606"].estimate.high < -0.15


def test_the_place_does_not_count_where_nobody_was_shown_it(shared):
    votes = crowd.honest(crowd.votes(shared), np.random.default_rng(0))
    one = busiest(votes, 500, 2_000)[0]
    labels = np.where(votes.annotators == one, votes.firsts, votes.labels)
    hidden = replace(votes, labels=labels, firsts=np.full(len(labels), -1))
    assert "PC605" in accused(concluded(replace(votes, labels=labels)))
    assert "PC605" not in accused(concluded(hidden))


def test_agreement_is_that_of_the_table_and_low_agreement_is_a_warning(shared):
    votes = crowd.votes(shared)
    conclusion = concluded(votes)
    counts = label_counts(votes.units, votes.labels, 3)
    found, figure = by_code(conclusion)["PC603"], conclusion.figures["agreement"]
    assert found.severity is Severity.warning
    assert found.estimate.value == pytest.approx(krippendorff_alpha(counts), abs=1e-12)
    assert found.estimate.n == len(set(votes.prompts))
    assert figure["pairwise"] == pytest.approx(pairwise_agreement(counts))
    assert figure["alpha_without_ties"] == pytest.approx(krippendorff_alpha(counts[:, :2]))
    assert sum(figure["pairs_by_judgements"].values()) == len(counts)
    several = by_code(conclusion)["PC607"]
    assert several.count == (counts.sum(1) > 1).sum()
    assert "--convert majority" in several.fix
    assert json.loads(json.dumps(conclusion.figures)) == conclusion.figures
    most = conclusion.figures["annotators"][0]
    assert most["judgements"] == np.bincount(votes.annotators).max()
    assert most["low"] < most["agreement"] < most["high"]


def rows_of(text):
    """Rows `annotator verdict`, one judgement each, of the pair that the first letter names."""
    for line in text.split():
        pair, annotator, verdict = line.split(":")
        sides = [Response((Message("assistant", f"{side} {pair}"),)) for side in ("long", "x")]
        relation = {
            "a": Relation(0, 1, annotator=annotator),
            "b": Relation(1, 0, annotator=annotator),
            "t": Relation(0, 1, tie=True, annotator=annotator),
        }[verdict.lower()]
        if verdict.isupper():  # the same judgement with the responses the other way round
            relation = replace(relation, winner=relation.loser, loser=relation.winner)
            sides = sides[::-1]
        yield Group((Message("user", "q"),), tuple(sides), (relation,), shown=True)


def votes_of(groups):
    box, maker = VoteBox(), CaseMaker()
    for group in groups:
        box.see(maker.case(group))
    return box.votes()


def test_two_responses_are_one_unit_in_any_order_and_over_rows():
    votes = votes_of(rows_of("1:u:a 1:v:A 1:w:b 2:u:B 1::t"))
    assert votes.units[0] == votes.units[1] == votes.units[2] == votes.units[4] != votes.units[3]
    assert votes.labels[0] == votes.labels[1] != votes.labels[2]
    assert votes.labels[4] == TIE
    # `u` was shown the long response first, `v` the short one; both chose the long one.
    assert votes.firsts[0] == votes.labels[0]
    assert votes.firsts[1] != votes.labels[1]
    assert (votes.longers[:2] == votes.labels[:2]).all()
    assert votes.names == ["", "u", "v", "w"]


def test_who_judges_a_pair_again_counts_once_and_nobody_counts_each_time():
    votes = votes_of(rows_of("1:u:a 1:u:b 1:v:a 1::b 1::b 2:u:a"))
    assert votes.rows.tolist() == [0, 2, 3, 4, 5]


def test_a_judgement_costs_little():
    box, maker = VoteBox(), CaseMaker()
    for group in rows_of(" ".join(f"{n}:u:a" for n in range(64))):
        box.see(maker.case(group))
    parts = [getattr(box, name) for name in ("_keys", "_rows", "_prompts", "_annotators", "_flags")]
    assert sum(part.itemsize for part in parts) <= 40
    assert {len(part) for part in parts} == {64}


QUIET = [
    "",
    "1::a 2::b",
    "1::a 1::a 1::b",
    "1:u:a",
    "1:u:t 1:v:t",
    "1:u:a 2:v:b 3:w:t",
    " ".join(f"{n}:u:a" for n in range(30)),
    " ".join(f"{n}:{who}:a" for n in range(30) for who in "uv"),
]


@pytest.mark.parametrize("text", QUIET)
def test_little_or_agreed_data_accuses_nobody_and_never_fails(text):
    groups = list(rows_of(text))
    passed = run_checks(lambda: groups, [Annotators()], Silent())
    done = gather(lambda: groups, passed)
    assert {one.code for one in done.findings} <= {"PC603", "PC607"}
    assert done.worst is Severity.info
    assert json.loads(json.dumps(done.figures, allow_nan=False)) == done.figures


def test_without_annotators_nothing_is_said():
    groups = list(rows_of("1::a 1::b 2::a"))
    assert Annotators().conclude(None).findings == ()
    assert (
        gather(lambda: groups, run_checks(lambda: groups, [Annotators()], Silent())).findings == ()
    )


def test_several_judgements_in_a_row_count_without_names():
    sides = tuple(Response((Message("assistant", text),)) for text in "xy")
    both = (Relation(0, 1), Relation(1, 0), Relation(0, 1))
    groups = [Group((Message("user", f"{n}"),), sides, both) for n in range(4)]
    done = gather(lambda: groups, run_checks(lambda: groups, [Annotators()], Silent()))
    assert [one.code for one in done.findings] == ["PC603", "PC607"]
    assert done.figures["agreement"]["pairwise"] == pytest.approx(1 / 3)
    assert done.findings[0].examples[0].note == "judged 2 to 1"
    assert done.findings[0].examples[0].excerpts["prompt"] == "0"


def test_three_people_who_judged_instructions(shared):
    path = str(shared / "data/pandalm/testset-v1.json")

    def items():
        return stream(path).items

    passed = run_checks(items, [Annotators()], Silent())
    done = gather(items, passed)
    codes = {one.code: one for one in done.findings if one.code.startswith("PC6")}
    assert codes.keys() == {"PC603", "PC607"}
    assert codes["PC603"].severity is Severity.info
    assert codes["PC603"].estimate.low > 0.8
    assert [one["annotator"] for one in done.figures["annotators"]] == [
        "annotator1", "annotator2", "annotator3",
    ]  # fmt: skip


@pytest.mark.slow
def test_the_crowd_s_file_is_read_and_judged_as_its_votes_are(shared, tmp_path):
    path = tmp_path / "crowd.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in crowd.judged(shared)))

    def items():
        return stream(str(path), mapping={"prompt": "topic"}).items

    done = gather(items, run_checks(items, [Annotators()], Silent()))
    expected = concluded(crowd.votes(shared)).figures["agreement"]
    # 55 judgements of identical texts are left out.
    assert done.excluded == {"identical responses": 55}
    assert done.figures["agreement"]["alpha"] == pytest.approx(expected["alpha"], abs=0.01)
    assert not {one.code for one in done.findings} & ACCUSING
